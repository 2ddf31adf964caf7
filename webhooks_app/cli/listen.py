"""`avra listen`: a workspace's deliveries on this machine."""

import json
import os
import re
import signal
import socket
import sys
import threading
import time
from datetime import datetime
from types import FrameType
from typing import Any

import click

from webhooks_app.cli import terminal
from webhooks_app.cli.api_answers import ApiFailure
from webhooks_app.cli.api_client import ApiClient
from webhooks_app.cli.api_command import ApiCommand, with_client
from webhooks_app.cli.forwarding import ForwardTarget
from webhooks_app.cli.listener_loop import Handled, Listening, ListenOptions, TakenOver
from webhooks_app.cli.option_types import Duration, Header, ListenerName, Url
from webhooks_app.core import clock
from webhooks_app.core.text_display import flatten

_LONGEST_NAME = 63
_TAKEN_OVER_EXIT = 3
_INSISTING_SECONDS = 0.2
_ENDING = b"Ending, once what is in hand is answered; Ctrl-C again ends at once.\n"


def default_name(host: str) -> str:
    """Return the name of this machine as a listener may have it. Pure."""
    slug = re.sub("[^a-z0-9]+", "-", host.partition(".")[0].lower())[:_LONGEST_NAME]
    return slug.strip("-") or "listener"


@click.command(cls=ApiCommand)
@click.option("--forward-to", type=Url(), required=True, help="Where to: a URL on this machine, or a port.")
@click.option(
    "--events", multiple=True, metavar="TYPES", help="Event types, separated by commas; otherwise all."
)
@click.option("--since", type=Duration(), help="Events of the last 30m, 2h …, too; 7d at most.")
@click.option(
    "--name", type=ListenerName(), help="One listener of each name; otherwise the name of this machine."
)
@click.option(
    "--timeout", type=click.IntRange(1, 30), metavar="SECONDS", help="For an answer; else the workspace's."
)
@click.option(
    "--concurrency", type=click.IntRange(1, 20), default=1, help="How many to hand on at once; default one."
)
@click.option(
    "--header", "headers", type=Header(), multiple=True, help="A header to add to each request; repeatable."
)
@click.option("--skip-verify", is_flag=True, help="Take any certificate of an https URL.")
@click.option("--json", "is_json", is_flag=True, help="One object a line, for programs.")
@with_client
def listen(
    client: ApiClient,
    forward_to: str,
    events: tuple[str, ...],
    since: int | None,
    name: str | None,
    timeout: int | None,
    concurrency: int,
    headers: tuple[tuple[str, str], ...],
    skip_verify: bool,
    is_json: bool,
) -> None:
    """Hand deliveries on to a server on this machine.

    They come signed as they would from the platform, and what the server answers is in the delivery log,
    which replays them as any others. Until Ctrl-C. Needs a token with the scope events:listen.
    """
    options = ListenOptions(
        name=name or default_name(socket.gethostname()),
        target=ForwardTarget(forward_to, headers, verifies_tls=not skip_verify),
        event_types=tuple(each.strip() for some in events for each in some.split(",") if each.strip()),
        timeout_seconds=timeout,
        since_seconds=since,
        concurrency=concurrency,
    )
    _run(Listening(client, options, _say), options, is_json)


def _run(listening: Listening, options: ListenOptions, is_json: bool) -> None:
    """Print each delivery that was handed on, until somebody ends it; then end the listener, too."""
    with _Interrupts(listening):
        try:
            _announce(listening.begin(), options)
            for handled in listening.handle_all():
                click.echo(json.dumps(_as_json(handled)) if is_json else _line(handled))
        except KeyboardInterrupt:
            pass
        except TakenOver:
            _say(
                f"Another program listens as “{options.name}” by now, so this one ends. To run both, "
                "give each its own --name."
            )
            sys.exit(_TAKEN_OVER_EXIT)
        except ApiFailure:
            if not listening.is_stopping:
                raise
    if listening.has_begun:
        _end(listening)


class _Interrupts:
    """Makes Ctrl-C and SIGTERM end at once while no delivery is in hand, else after it; a second at once."""

    def __init__(self, listening: Listening) -> None:
        self._listening = listening
        self._before: list[Any] = []
        self._told = -1

    def __enter__(self) -> None:
        self._before = [signal.signal(each, self._stop) for each in (signal.SIGINT, signal.SIGTERM)]
        reading, self._told = os.pipe()
        os.set_blocking(self._told, False)
        signal.set_wakeup_fd(self._told, warn_on_full_buffer=False)
        threading.Thread(target=self._insist, args=(reading,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self._told)
        for number, before in zip((signal.SIGINT, signal.SIGTERM), self._before, strict=True):
            signal.signal(number, before)

    def _insist(self, reading: int) -> None:
        """Repeat a signal that the main thread has not taken.

        One that comes just before a system call does not interrupt it, and an answer may take half a minute.
        """
        while byte := os.read(reading, 1):
            time.sleep(_INSISTING_SECONDS)
            if not self._listening.is_stopping:
                signal.pthread_kill(threading.main_thread().ident or 0, byte[0])
        os.close(reading)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        is_second, self._listening.is_stopping = self._listening.is_stopping, True
        if is_second or self._listening.is_waiting:
            raise KeyboardInterrupt
        os.write(sys.stderr.fileno(), _ENDING)  # a stream may be in the middle of another line


def _announce(listener: dict[str, Any], options: ListenOptions) -> None:
    types = flatten(", ".join(listener["event_types"])) or "all events"
    _say(f"Listening to {flatten(listener['workspace_name'])} as “{flatten(listener['name'])}”: {types}.")
    _say(f"Forwarding to {options.target.url}, {listener['timeout_seconds']} s for each answer.")
    _say(f"Signing secret: {flatten(listener['secret'])}  (it stays the same under this name)")
    if listener["resumed"]:
        _say("Took over from the program before under this name, which ends if it still runs.")
        _say("What waited for it comes now.")
    if options.since_seconds:
        added, left_out = listener["added"], ", the newest of them" if listener["left_out"] else ""
        past = f"{added:,} events of the past come" if added else "No events of the past come"
        past = "1 event of the past comes" if added == 1 else past
        _say(f"{past} first{left_out}.")
    _say("Ctrl-C ends it.")


def _end(listening: Listening) -> None:
    try:
        canceled = listening.end()
    except ApiFailure as failure:
        _say(f"The platform could not be told: {failure} The listener ends there within ten minutes.")
        return
    waiting = f"{canceled:,} deliveries that waited were canceled; replay brings them back."
    if canceled == 1:
        waiting = "1 delivery that waited was canceled; replay brings it back."
    _say(f"Ended. {waiting if canceled else 'Nothing waited.'}")


def _say(sentence: str) -> None:
    """Print for people, beside what programs read."""
    click.echo(sentence, err=True)


def _event_type(handled: Handled) -> str:
    return str(json.loads(handled.request["body"])["type"])


def _as_json(handled: Handled) -> dict[str, Any]:
    request, forwarded, result = handled.request, handled.forwarded, handled.result or {}
    return {
        "time": clock.format_rfc3339(clock.now()),
        "event_type": _event_type(handled),
        "event_id": request["event_id"],
        "delivery_id": request["delivery_id"],
        "attempt": request["attempt"],
        "status": forwarded.status,
        "failure": forwarded.failure,
        "duration_ms": forwarded.total_us // 1000,
        "state": result.get("state"),
        "next_attempt_at": result.get("next_attempt_at"),
    }


def _line(handled: Handled) -> str:
    """Return `14:03:22  batch-lifecycle  dlv_…  200 OK  12 ms`, and what follows where it failed."""
    forwarded, request = handled.forwarded, handled.request
    status_line = f"{forwarded.status} {flatten(_utf8(forwarded.reason))}".strip()
    answer = status_line if forwarded.status else forwarded.failure
    color = "green" if forwarded.is_success else "red"
    parts = [
        f"{datetime.now():%H:%M:%S}",
        flatten(_event_type(handled)),
        flatten(request["delivery_id"]),
        terminal.colored(answer or "no answer", color),
        f"{forwarded.total_us // 1000} ms",
    ]
    return "  ".join([*parts, *filter(None, [flatten(forwarded.detail), _what_follows(handled)])])


def _utf8(text: str) -> str:
    """Return what http.client took for Latin-1 as most servers mean it."""
    return text.encode("latin-1").decode(errors="replace")


def _what_follows(handled: Handled) -> str:
    if handled.forwarded.is_success or not handled.result:
        return ""
    if not handled.result["next_attempt_at"]:
        return f"{flatten(handled.result['state'])}, not tried again"
    next_at = datetime.fromisoformat(handled.result["next_attempt_at"]).astimezone()
    return f"attempt {handled.request['attempt']}; next at {next_at:%H:%M:%S}"
