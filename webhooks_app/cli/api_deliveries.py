"""`avra deliveries` and `avra recover`: the log read and acted upon over the API."""

import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import islice
from typing import Any

import click

from webhooks_app.cli import terminal
from webhooks_app.cli.api_client import PAGE, ApiClient
from webhooks_app.cli.api_command import ApiCommand, confirm, with_client
from webhooks_app.cli.api_output import (
    OutputColumn,
    as_json,
    cell,
    last_response,
    plain,
    print_fields,
    print_json,
    print_rows,
    short_time,
)
from webhooks_app.cli.endpoint_lookup import endpoint_id
from webhooks_app.cli.option_types import Duration
from webhooks_app.cli.terminal import Bar
from webhooks_app.core import clock
from webhooks_app.core.text_display import flatten, indent_json

_COLUMNS = tuple("id created_at event_type endpoint_name status attempts last_status last_outcome".split())
_FOR_PEOPLE = (
    plain("id"),
    OutputColumn("accepted", lambda row: short_time(row["created_at"], "%m-%d %H:%M")),
    plain("event_type"),
    OutputColumn("endpoint", lambda row: cell(row["endpoint_name"])),
    plain("status"),
    OutputColumn("last", lambda row: _last(row)),
)
_ATTEMPT_COLUMNS = ("number", "started_at", "outcome", "status", "duration_ms", "detail")
_LOOK_SECONDS = 1.0
_FILTERS = (
    click.option("--status", help="pending, retrying, delivered, failed, canceled, undelivered, …"),
    click.option("--endpoint", metavar="ENDPOINT", help="Its id, or its name with the scope endpoints:read."),
    click.option("--type", "event_type", help="Event type."),
    click.option("--response", help="Class of the last answer or failure: 2xx, 5xx, timeout, …"),
    click.option("--since", type=Duration(), help="Accepted within the last 30m, 2h, 7d."),
    click.option("--until", type=Duration(), help="Accepted so long ago at least."),
    click.option("-q", "q", help="An id, or a value in the data."),
)
Function = Callable[..., Any]


def _with_filters(function: Function) -> Function:
    """Give a command the filter of the log, as the console has it."""
    for option in reversed(_FILTERS):
        function = option(function)
    return function


@click.group(name="deliveries")
def deliveries_group() -> None:
    """Search the delivery log, replay and cancel.

    Reading needs the scope deliveries:read, the rest deliveries:replay.
    """


@deliveries_group.command("list", cls=ApiCommand, scopes=("deliveries:read",))
@_with_filters
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@as_json
@with_client
def list_deliveries(client: ApiClient, limit: int, is_json: bool, **filters: Any) -> None:
    """List deliveries, newest first."""
    query = _query(client, filters) | {"limit": min(limit, PAGE)}
    rows = islice(client.each("/deliveries", query), limit)
    print_rows(rows, _COLUMNS, is_json=is_json, nothing="No delivery matches.", for_people=_FOR_PEOPLE)


@deliveries_group.command(cls=ApiCommand)
@click.argument("delivery_id", metavar="ID")
@as_json
@with_client
def show(client: ApiClient, delivery_id: str, is_json: bool) -> None:
    """Show a delivery with its payload and its attempts."""
    found = client.request("GET", f"/deliveries/{delivery_id}").body
    attempts = client.request("GET", f"/deliveries/{delivery_id}/attempts").body["data"]
    if is_json:
        print_json({**found, "attempt_details": attempts})
        return
    payload = found.pop("payload")
    print_fields(found if sys.stdout.isatty() else {**found, "payload": payload}, is_json=False)
    click.echo()
    print_rows(attempts, _ATTEMPT_COLUMNS, is_json=False, nothing="It was not attempted yet.")
    if payload and sys.stdout.isatty():
        click.echo(f"\n{flatten(indent_json(payload))}")


@deliveries_group.command(cls=ApiCommand)
@click.argument("delivery_ids", metavar="ID...", nargs=-1, required=True)
@as_json
@with_client
def replay(client: ApiClient, delivery_ids: tuple[str, ...], is_json: bool) -> None:
    """Send deliveries again: finished ones by a fresh schedule, what waits now."""
    _act_on_each(client, delivery_ids, "replay", is_json=is_json)


@deliveries_group.command(cls=ApiCommand)
@click.argument("delivery_ids", metavar="ID...", nargs=-1, required=True)
@as_json
@with_client
def cancel(client: ApiClient, delivery_ids: tuple[str, ...], is_json: bool) -> None:
    """Send nothing more of deliveries, until they are replayed."""
    _act_on_each(client, delivery_ids, "cancel", is_json=is_json)


@click.command(cls=ApiCommand, scopes=("deliveries:read", "deliveries:replay"))
@_with_filters
@click.option(
    "--action", type=click.Choice(["replay", "send", "cancel"]), default="replay", show_default=True
)
@click.option("--rate", type=click.IntRange(1), help="Deliveries a second at most.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-wait", is_flag=True, help="Start it and print its id.")
@as_json
@with_client
def recover(
    client: ApiClient,
    action: str,
    rate: int | None,
    yes: bool,
    no_wait: bool,
    is_json: bool,
    **filters: Any,
) -> None:
    """Replay, send or cancel all that a filter finds.

    The platform does it in the background. Shows the count first, then the progress. Ctrl-C leaves it running
    there.
    """
    body = _query(client, filters) | {"action": action} | ({"rate_per_second": rate} if rate else {})
    counted = client.request("POST", "/recoveries/count", body=body, is_repeatable=True).body
    count = f"{counted['count']:,}{'' if counted['is_all'] else ' or more'}"
    if not yes:
        deliveries = "1 delivery" if count == "1" else f"{count} deliveries"
        confirm(f"{action.capitalize()} {deliveries}?", is_json=is_json)
    started = client.request("POST", "/recoveries", body=body).body
    if no_wait:
        print_fields(started, is_json=is_json)
        return
    try:
        print_fields(_watch(client, started), is_json=is_json)
    except KeyboardInterrupt:
        click.echo(f"\nRecovery {started['id']} goes on without being watched.", err=True)


def _watch(client: ApiClient, recovery: dict[str, Any]) -> dict[str, Any]:
    """Show the progress on standard error until the recovery is over; return how it ended."""
    label = f"Recovery {recovery['id']}"
    if not sys.stderr.isatty():
        click.echo(label, err=True)
        return _follow(client, recovery, lambda *_: None)
    with terminal.progress(label) as bar:
        return _follow(client, recovery, bar)


def _follow(client: ApiClient, recovery: dict[str, Any], bar: Bar) -> dict[str, Any]:
    while True:
        recovery = client.request("GET", f"/recoveries/{recovery['id']}").body
        done, outcomes = recovery["handled"] + recovery["left_out"], recovery["outcomes"] or {}
        is_over = recovery["state"] != "running"
        note = ", ".join(f"{count:,} {name}" for name, count in outcomes.items() if count)
        bar(done, done if is_over else recovery["total"], note)
        if is_over:
            return recovery
        time.sleep(_LOOK_SECONDS)


def _last(row: Mapping[str, Any]) -> str:
    """Return the last response, with the number of the attempt unless it is the first."""
    return last_response(row) + (f" ×{row['attempts']}" if row["attempts"] > 1 else "")


def _act_on_each(client: ApiClient, delivery_ids: tuple[str, ...], action: str, *, is_json: bool) -> None:
    rows = (client.request("POST", f"/deliveries/{each}/{action}").body for each in delivery_ids)
    print_rows(rows, _COLUMNS, is_json=is_json, nothing="", for_people=_FOR_PEOPLE)


def _query(client: ApiClient, filters: dict[str, Any]) -> dict[str, Any]:
    """Return the filter by the API's names."""
    named = {name: filters[name] for name in ("status", "event_type", "response", "q")}
    if filters["endpoint"]:
        named["endpoint"] = endpoint_id(client, filters["endpoint"])
    moments = {"from": filters["since"], "until": filters["until"]}
    now = clock.now()
    ago = {
        name: clock.format_rfc3339(now - timedelta(seconds=seconds))
        for name, seconds in moments.items()
        if seconds
    }
    return {name: value for name, value in named.items() if value} | ago
