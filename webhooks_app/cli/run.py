"""`run`: every process of the platform on this machine, and a consumer to try it on."""

import json
import os
import shlex
import socket
import sys
from collections.abc import Callable
from functools import partial

import click

from webhooks_app import config
from webhooks_app.cli import demo_admin, processes, standard_streams
from webhooks_app.config import ConfigError, Settings
from webhooks_app.core import instance_folder
from webhooks_app.jobs import adoption, child_process, open_files, process, supervisor
from webhooks_app.jobs.fork_loader import Loader
from webhooks_app.jobs.orphan_guard import PYTHON
from webhooks_app.jobs.process import exit_on_start_error
from webhooks_app.jobs.supervisor import Command


@click.command()
def run() -> None:
    """Run everything on this machine.

    That is the web, a worker, the scheduler, a Redis unless REDIS_URL names one, and a consumer to try it on.
    All that it writes is in one folder, WEBHOOKS_INSTANCE. Its Redis and the consumer need the extra
    `embedded`.
    """
    with exit_on_start_error():
        sys.exit(_run())


def _run() -> int:
    standard_streams.outlast_full_disk()
    process.ignore_stop_signals_at_exit()
    open_files.require()
    os.umask(0o077)  # whatever it writes is for its owner alone
    os.environ.update(_with_demo_target())
    settings = config.read()
    process.print_warnings(settings)
    os.environ["WEBHOOKS_HOST"] = settings.host  # so that no process of it warns of the same again
    consumer_port = settings.port + 1
    with instance_folder.lock(settings.instance) as held:
        _refuse_taken_port(settings.host, settings.port)
        _refuse_taken_port("127.0.0.1", consumer_port, user=", the demo consumer's, one above PORT,")
        prepare = partial(_prepare, settings, consumer_port)
        if adoption.adopt_orphans():  # on Linux only: elsewhere a system library may not survive a fork
            loader = Loader(partial(_load_and, prepare, settings), _acts())
            answer = loader.answer
        else:
            loader, answer = None, child_process.do_in_child(prepare)
        prepared = json.loads(answer)
        shown = prepared["shown"]
        return supervisor.supervise(
            [
                *_redis(prepared["redis"]),
                *(Command(name, _command(name)) for name in _acts()),
                _consumer(consumer_port, shown["secrets"]),
            ],
            welcome=_welcome(settings.base_url, consumer_port, shown),
            held=held,
            loader=loader,
        )


def _with_demo_target() -> dict[str, str]:
    """Return the environment in which deliveries may also go to the demo consumer, and nowhere else new.

    Its admin is the operator, unless others are named.
    """
    port = os.environ.get("PORT") or "8000"
    is_usable = len(port) <= 5 and port.isascii() and port.isdecimal() and int(port) < 65535
    target = f"127.0.0.1:{int(port) + 1}" if is_usable else ""
    allowed = os.environ.get("WEBHOOKS_ALLOWED_TARGETS", "")
    return dict(os.environ) | {
        "WEBHOOKS_ALLOW_HTTP": "1",
        "WEBHOOKS_OPERATORS": os.environ.get("WEBHOOKS_OPERATORS") or demo_admin.EMAIL,
        "WEBHOOKS_ALLOWED_TARGETS": ",".join(part for part in (allowed, target) if part),
    }


def _refuse_taken_port(host: str, port: int, *, user: str = "") -> None:
    """Raises ConfigError when nothing can listen there; it says who would, if not the web."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            message = f"Cannot listen on {host}:{port}{user} ({reason}); set PORT to another."
            raise ConfigError(message) from None


def _prepare(settings: Settings, consumer_port: int) -> str:
    from webhooks_app.cli import preparation

    return preparation.prepare(settings, consumer_port)


def _redis(command: list[str] | None) -> list[Command]:
    return [Command("redis", command, says_ready=False, stops_last=True)] if command else []


def _load_and(prepare: Callable[[], str], settings: Settings) -> str:
    """Load what web, worker and scheduler use, once for all, as they are forked; see decision record 38.

    Then have a child prepare them: it connects to the database and to Redis, and loads what migrates.
    """
    from webhooks_app.cli import shared_modules

    shared_modules.load(settings.database_url)
    return child_process.do_in_child(prepare)


def _acts() -> dict[str, Callable[[], object]]:
    return {
        "web": _run_web,
        "worker": partial(processes.run_workers, is_replaced=True),
        "scheduler": processes.run_scheduler,
    }


def _command(name: str) -> list[str]:
    return [*PYTHON, "-m", "webhooks_app", name]


def _run_web() -> None:
    from webhooks_app.cli import web

    web.run_web(command=_command("web"))


def _consumer(port: int, secrets: str) -> Command:
    return Command(
        "consumer",
        [*PYTHON, str(config.ROOT / "examples" / "consumer.py"), str(port)],
        environment={"WEBHOOK_SECRETS": secrets},
        stops_last=True,
    )


def _welcome(url: str, consumer_port: int, shown: dict[str, str]) -> str:
    lines = [f"\n  Console   {url}"]
    if "token" in shown:
        lines += [
            f"  Log in    {shown['email']}  {shown['password']}",
            "\n  Send an event, from another terminal:\n",
            f"curl {url}/api/v1/events \\",
            f"  -H 'Authorization: Bearer {shown['token']}' \\",
            "  -H 'Content-Type: application/json' \\",
            f"  -d {shlex.quote(shown['example'])}",
            "\n  This token sends and reads events; others: API tokens in the console, or avra tokens add.",
            "\n  Make the demo consumer fail, and work again:\n",
            f"curl -d 500 http://127.0.0.1:{consumer_port}/mode",
            f"curl -d ok http://127.0.0.1:{consumer_port}/mode",
        ]
    return "\n".join([*lines, "\nReady. Ctrl-C stops everything; nothing is lost.\n"])
