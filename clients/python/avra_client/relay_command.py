"""The command `avra-relay`: runs a relay, prints the table's SQL, and shows what was set aside."""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from avra_client import dbapi, outbox_schema, relay_health, relay_options
from avra_client.client import Client, SendError, __version__
from avra_client.outbox_rows import OutboxRows
from avra_client.relay import HandOverFailed, Relay

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
    command = commands.add_parser("run", help="hand over what there is and what comes")
    relay_options.add_to(command)
    command.set_defaults(run=_run)
    ddl = commands.add_parser("ddl", help="print the SQL that creates the table")
    ddl.add_argument("dialect", choices=("sqlite", "postgresql", "mysql"))
    ddl.set_defaults(run=_print_ddl)
    for name, run, text in (
        ("counts", _print_counts, "print how many rows are in each state"),
        (
            "set-aside",
            _print_set_aside,
            "print the rows that the platform refused, and those that it may have accepted",
        ),
        ("failing", _print_failing, "print the rows that keep failing while others are accepted"),
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


def _run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    limits = relay_options.read_limits(options)
    connect = _connector(environ)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as exits:
        client = exits.enter_context(Client(_needed(environ, "AVRA_URL"), _token(environ)))
        relay = Relay(connect, client, table=options.table, limits=limits)
        if options.once:
            return _run_once(relay, client, stop)
        if options.listen:
            read = partial(_read_backlog, connect, options.table)
            address = _address(options.listen)
            port = exits.enter_context(relay_health.serving(address, relay.state, read))
            logging.info("listening on %s, for /healthz and /metrics", _shown_address(address[0], port))
        logging.info("relay started: table=%s", options.table)
        relay.run(stop)
    logging.info("relay stopped")
    return 0


def _read_backlog(connect: Callable[[], dbapi.Connection], table: str) -> tuple[int, int | None, int]:
    """Read it on a connection of its own: looks are rare, and come from another thread."""
    with closing(connect()) as connection:
        return OutboxRows(connection, table).backlog()


def _run_once(relay: Relay, client: Client, stop: threading.Event) -> int:
    try:
        accepted = relay.run_once(stop=stop)
        if not accepted:
            client.event_types()  # so that an empty outbox hides no wrong address and no wrong token
    except (HandOverFailed, SendError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EX_TEMPFAIL
    except Exception as error:
        print(f"error: {_unusable_database(error)}", file=sys.stderr)
        return EX_TEMPFAIL
    print(f"{_counted(accepted, 'event')} accepted")
    return 0


def _print_ddl(options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    for statement in outbox_schema.ddl(options.dialect, options.table):
        print(f"{statement};")
    return 0


def _print_counts(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    with _rows(options, environ) as rows:
        counts, claim = rows.counts(), rows.claimed(int(time.time() * 1000))
    for state, count in sorted(counts.items()):
        claimed = f"\t{claim[0]} claimed, for {claim[1]} s at most" if claim and state == "pending" else ""
        print(f"{state}\t{count}{claimed}")
    if not counts:
        print("empty")
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
        print(_counted(change(None if options.all else options.rows), "row"))
    return 0


def _resend(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    with _rows(options, environ) as rows:
        print(_counted(rows.resend(since=options.since), "row"))
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


def _shown_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _moment(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


if __name__ == "__main__":
    sys.exit(main())
