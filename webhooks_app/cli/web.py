"""The web: API and console."""

import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import click
from flask import Flask

from webhooks_app import config
from webhooks_app.app import create_serving_app
from webhooks_app.cli.beginning import begin
from webhooks_app.cli.reporting import reports_of
from webhooks_app.db import schema_version
from webhooks_app.extensions import services
from webhooks_app.jobs import open_files
from webhooks_app.jobs.prefork import Prefork
from webhooks_app.jobs.process import (
    announce_ready,
    exit_on_start_error,
    gc_freeze,
)
from webhooks_app.monitoring.own_report import WEB
from webhooks_app.monitoring.tracing import tracer_of
from webhooks_app.server import listening_socket, restart, web_server
from webhooks_app.server.metrics_server import MetricsServer
from webhooks_app.server.restart import Restart
from webhooks_app.server.server_limits import (
    DEFAULT_LIMITS,
    ServerLimits,
    fit_open_files,
    least_open_files,
)
from webhooks_app.services import Services
from webhooks_app.web import metrics_answer, platform_health


@click.command()
@click.option(
    "--workers",
    "count",
    type=click.IntRange(1, 64),
    help="Processes that share the address; as many as WEBHOOKS_WEB_PROCESSES says.",
)
def web(count: int | None) -> None:
    """Run the web: API and console.

    Address, processes and threads are settings. SIGHUP has it load its code anew, without a gap.
    """
    run_web(count)


def run_web(count: int | None = None, *, command: Sequence[str] | None = None) -> None:
    """Serve until asked to end, in this process if it is to be one, otherwise in children of it.

    `command`: what restarts it, where that is not the command that this process was started with.
    """
    with exit_on_start_error():
        _run(count, command)


def _run(count: int | None, command: Sequence[str] | None) -> None:
    left = restart.listener_of(os.environ)
    settings = begin()
    schema_version.require_by_url(settings.database_url)
    limits = fitting_limits(settings)
    listener = left or _listen(settings)
    _try_metrics(settings)
    restarting = Restart(listener, os.environ, command=command)
    served = _Served(create_serving_app(settings), listener, restarting, limits)
    processes = count or settings.web_processes
    if processes == 1:
        restarting.handle_hangup()
        restarting.reap()
        _serve(served)
    else:
        _serve_in_children(served, processes)
    restarting.exec_if_handed_over()


@dataclass(frozen=True, slots=True)
class _Served:
    """The application, the socket on which it is served, and what restarts it."""

    app: Flask
    listener: socket.socket
    restarting: Restart
    limits: ServerLimits

    def be_ready(self) -> None:
        announce_ready()
        self.restarting.dismiss()

    def let_go(self) -> None:
        self.restarting.give_up()
        self.listener.close()


def _serve(served: _Served) -> None:
    """Serve in this process until it is asked to end."""
    gc_freeze()
    found = services(served.app)
    if found.settings.metrics_listen:
        metrics_of(found, *found.settings.metrics_listen).start()
    # Looked at all the time, so that each problem is told of with since when it is.
    act_after_report = partial(platform_health.read, found)
    with tracer_of(WEB) as tracer, reports_of(found, WEB, act_after_report=act_after_report):
        found.group_commit.tracer = tracer
        web_server.serve(
            served.app,
            served.listener,
            threads=found.settings.web_threads,
            when_ready=served.be_ready,
            when_ending=served.restarting.give_up,
            limits=served.limits,
        )


def _serve_in_children(served: _Served, processes: int) -> None:
    gc_freeze()
    prefork = Prefork(
        "web_process",
        processes,
        partial(_serve_as_child, served),
        leave_signal=restart.LEAVE_SIGNAL,
        when_stopping=served.let_go,
    )
    served.restarting.handle_hangup()
    prefork.supervise()


def _serve_as_child(served: _Served) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    served.restarting.give_up()  # which is its parent's to do
    _serve(served)


def _listen(settings: config.Settings) -> socket.socket:
    try:
        return listening_socket.listen(settings.host, settings.port)
    except OSError as error:
        raise config.ConfigError(f"Cannot listen on {settings.bind}: {error.strerror}.") from None


def metrics_of(found: Services, host: str, port: int) -> MetricsServer:
    """Return a server for the metrics of all processes. Raises OSError where the address is taken."""
    return MetricsServer(host, port, lambda accept: metrics_answer.render(found, accept))


def _try_metrics(settings: config.Settings) -> None:
    """Raise ConfigError where something else has the address for metrics, before any process serves."""
    if settings.metrics_listen is None:
        return
    try:
        MetricsServer(*settings.metrics_listen, render=lambda _: (b"", "")).server_close()
    except OSError as error:
        raise config.ConfigError(
            f"Cannot listen on WEBHOOKS_METRICS_LISTEN, port {settings.metrics_listen[1]}: {error.strerror}."
        ) from None


def fitting_limits(settings: config.Settings) -> ServerLimits:
    """Raise the limit of open files; print one line where it lowers how many clients may be connected.

    Raises ConfigError where it is too low for as many threads.
    """
    open_files.require(least_open_files(settings.web_threads))
    limits = fit_open_files(settings.web_threads, open_files.raise_limit())
    if limits.connections < DEFAULT_LIMITS.connections:
        most = f"{limits.connections} clients may be connected at the same time"
        open_files.warn(f"{most}, not {DEFAULT_LIMITS.connections}, to each web process.")
    return limits
