"""The command `avra-relay`: runs a relay, prints the table's SQL, and shows what was set aside."""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from avra_client import dbapi, outbox_schema, relay_health
from avra_client.client import Client, SendError, __version__
from avra_client.outbox_rows import OutboxRows
from avra_client.relay import Relay, Trouble
from avra_client.relay_state import DEFAULT_LIMITS, RelayLimits

# sysexits.h: what is asked for cannot work; try again later.
EX_CONFIG, EX_TEMPFAIL = 78, 75

_DESCRIPTION = """\
Hands over the events of an outbox to an Avra platform.

AVRA_OUTBOX_DATABASE is the database's URL (sqlite:///…, postgresql://…, mysql://…), AVRA_URL the platform's
address, AVRA_TOKEN an API token with the scope events:send, or AVRA_TOKEN_FILE a file that holds one.
"""


class _Unusable(Exception):
    """What was asked for cannot work; the message is the one line to say so."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        status: int = options.run(options, os.environ)
    except (_Unusable, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EX_CONFIG
    return status


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("avra-relay", description=_DESCRIPTION, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"avra-relay, version {__version__}")
    parser.add_argument("--table", default=outbox_schema.TABLE, help="default: %(default)s")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="hand over what there is and what comes"))
    ddl = commands.add_parser("ddl", help="print the SQL that creates the table")
    ddl.add_argument("dialect", choices=("sqlite", "postgresql", "mysql"))
    ddl.set_defaults(run=_print_ddl)
    for name, run, text in (
        ("counts", _print_counts, "print how many rows are in each state"),
        (
            "set-aside",
            _print_set_aside,
            "print the rows that the platform refused, and those of unknown fate",
        ),
        ("failing", _print_failing, "print the rows that are not taken while others are, and sent again"),
    ):
        commands.add_parser(name, help=text).set_defaults(run=run)
    for name, text in (
        ("retry", "hand over again what was set aside"),
        ("discard", "delete what was set aside"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("rows", nargs="*", metavar="ID")
        command.add_argument("--all", action="store_true", help="all of them")
        command.set_defaults(run=_change_set_aside, action=name)
    resend = commands.add_parser(
        "resend", help="hand over again what was sent, for a platform that was restored"
    )
    resend.add_argument("--since", required=True, type=_moment, help="such as 2026-11-26T08:00Z")
    resend.set_defaults(run=_resend)
    return parser


def _add_run(command: argparse.ArgumentParser) -> None:
    limits = DEFAULT_LIMITS
    command.add_argument(
        "--once", action="store_true", help="end when nothing is due; 75 if some was not taken"
    )
    command.add_argument("--listen", metavar="HOST:PORT", help="serve /healthz and /metrics there")
    for name, kind, text in (
        ("batch", int, "rows at once"),
        ("poll-seconds", float, "between two looks at an empty outbox"),
        ("lease-seconds", float, "after which others take what a dead relay had claimed"),
        ("send-seconds", float, "that a batch may take, half the lease at most"),
        (
            "keys-kept-hours",
            float,
            "for which the platform knows idempotency keys: its workspace's retention",
        ),
        ("keep-sent-hours", float, "for which rows stay once they are sent; 0 deletes them at once"),
        ("failing-hours", float, "after which a row is set aside that is not taken while others are"),
    ):
        default = getattr(limits, name.replace("-", "_"))
        command.add_argument(f"--{name}", type=kind, default=default, help=f"{text}; default: %(default)s")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    limits = RelayLimits(
        batch=options.batch,
        poll_seconds=options.poll_seconds,
        lease_seconds=options.lease_seconds,
        send_seconds=options.send_seconds,
        keys_kept_hours=options.keys_kept_hours,
        keep_sent_hours=options.keep_sent_hours,
        failing_hours=options.failing_hours,
    )
    connect = _connector(environ)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as exits:
        client = exits.enter_context(Client(_needed(environ, "AVRA_URL"), _token(environ)))
        relay = Relay(connect, client, table=options.table, limits=limits)
        if options.once:
            return _run_once(relay, stop)
        if options.listen:
            read = partial(_read_backlog, connect, options.table)
            address = _address(options.listen)
            port = exits.enter_context(relay_health.serving(address, relay.state, read))
            logging.info("listening on port %d", port)
        logging.info("relay started: table=%s", options.table)
        relay.run(stop)
    logging.info("relay stopped")
    return 0


def _read_backlog(connect: Callable[[], dbapi.Connection], table: str) -> tuple[int, int | None, int]:
    """Read it on a connection of its own: looks are rare, and come from another thread."""
    with closing(connect()) as connection:
        return OutboxRows(connection, table).backlog()


def _run_once(relay: Relay, stop: threading.Event) -> int:
    try:
        accepted = relay.run_once(stop=stop)
    except (Trouble, SendError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EX_TEMPFAIL
    except Exception as error:
        print(f"error: {_unusable_database(error)}", file=sys.stderr)
        return EX_TEMPFAIL
    print(f"{accepted} events accepted")
    return 0


def _print_ddl(options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    for statement in outbox_schema.ddl(options.dialect, options.table):
        print(f"{statement};")
    return 0


def _print_counts(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    with _rows(options, environ) as rows:
        for state, count in sorted(rows.counts().items()):
            print(f"{state}\t{count}")
    return 0


def _print_set_aside(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    with _rows(options, environ) as rows:
        for row in rows.set_aside():
            print("\t".join(row))
    return 0


def _print_failing(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    with _rows(options, environ) as rows:
        for row in rows.failing():
            print("\t".join(row))
    return 0


def _change_set_aside(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if bool(options.rows) == options.all:
        raise _Unusable("name the rows by their ids, or say --all")
    with _rows(options, environ) as rows:
        change = rows.retry if options.action == "retry" else rows.discard
        print(f"{change(None if options.all else options.rows)} rows")
    return 0


def _resend(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    with _rows(options, environ) as rows:
        print(f"{rows.resend(since=options.since)} rows")
    return 0


@contextmanager
def _rows(options: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[OutboxRows]:
    """Yield the outbox's rows. Raises _Unusable for a database that refuses."""
    try:
        with closing(OutboxRows(_connector(environ)(), options.table)) as rows:
            yield rows
    except Exception as error:
        raise _unusable_database(error) from error


def _unusable_database(error: Exception) -> Exception:
    """Return what a driver raised as one line; each has classes of its own, unlike ours and Python's."""
    if isinstance(error, (_Unusable, ValueError)) or type(error).__module__ == "builtins":
        return error
    return _Unusable(f"the outbox: {type(error).__name__}: {str(error).strip().splitlines()[0]}")


def _connector(environ: Mapping[str, str]) -> Callable[[], dbapi.Connection]:
    return dbapi.connector(_needed(environ, "AVRA_OUTBOX_DATABASE"))


def _token(environ: Mapping[str, str]) -> str:
    if path := environ.get("AVRA_TOKEN_FILE"):
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise _Unusable(f"AVRA_TOKEN_FILE cannot be read: {error}") from error
    return _needed(environ, "AVRA_TOKEN")


def _needed(environ: Mapping[str, str], name: str) -> str:
    if not environ.get(name):
        raise _Unusable(f"{name} is not set; see avra-relay --help")
    return environ[name]


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise _Unusable("--listen takes an address such as 127.0.0.1:9465")
    return host.strip("[]") or "127.0.0.1", int(port)


def _moment(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


if __name__ == "__main__":
    sys.exit(main())
