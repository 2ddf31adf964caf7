"""`avra events` and `avra send-example`: events sent and watched over the API."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from typing import Any

import click

from webhooks_app.cli import tail_display
from webhooks_app.cli.api_answers import AWAY_STATUSES, ApiFailure
from webhooks_app.cli.api_client import ApiClient
from webhooks_app.cli.api_command import ApiCommand, confirm, with_client
from webhooks_app.cli.api_output import as_json, print_as_they_come, print_fields
from webhooks_app.cli.endpoint_lookup import endpoint_id
from webhooks_app.cli.option_types import Duration
from webhooks_app.cli.tailing import Tailing

_LOOK_SECONDS = 2.0


@click.group(name="events")
def events_group() -> None:
    """Send and watch events, and erase what one carried."""


@events_group.command(cls=ApiCommand)
@click.argument("event_type", metavar="TYPE")
@click.option("--data", default="{}", help="JSON, @file for a file with it, or - for standard input.")
@click.option("--key", help="Idempotency key: under the same one, nothing is sent twice.")
@as_json
@with_client
def send(client: ApiClient, event_type: str, data: str, key: str | None, is_json: bool) -> None:
    """Send an event of TYPE. Needs the scope events:send."""
    print_fields(send_event(client, event_type, read_data(data), key), is_json=is_json)


@events_group.command(cls=ApiCommand, scopes=("deliveries:read",))
@click.option("--type", "event_type", help="Of this type only.")
@click.option("--endpoint", metavar="ENDPOINT", help="To this endpoint only: its id or name.")
@click.option("-q", "q", help="Of this event, or with this value in the data.")
@click.option("--since", type=Duration(), help="What was accepted within the last 30m, 2h, 7d, too.")
@click.option("--attempts/--no-attempts", default=True, help="Whether to show what becomes of them.")
@as_json
@with_client
def tail(
    client: ApiClient,
    event_type: str | None,
    endpoint: str | None,
    q: str | None,
    since: int | None,
    attempts: bool,
    is_json: bool,
) -> None:
    """Print deliveries as events are accepted, and their attempts, until Ctrl-C.

    An event without any subscriber has none. In a pipe and with --json, a line of the kind "accepted" shows
    its delivery as it is when it is printed: it may be retrying or delivered already.

    Needs the scope deliveries:read, and with the name of an endpoint endpoints:read.
    """
    chosen = endpoint_id(client, endpoint) if endpoint else None
    named = {"event_type": event_type, "endpoint": chosen, "q": q}
    query = {name: value for name, value in named.items() if value}
    with suppress(KeyboardInterrupt):
        tailing = Tailing(
            client,
            query,
            since_seconds=since or 0,
            with_attempts=attempts,
            tell=partial(click.echo, err=True),
        )
        print_as_they_come(_watched(tailing), tail_display.COLUMNS, tail_display.line, is_json=is_json)


@events_group.command(cls=ApiCommand)
@click.argument("event_ids", metavar="EVENT_ID...", nargs=-1, required=True)
@click.option(
    "--cancel-pending", is_flag=True, help="Cancel what is still to be sent of it, held deliveries, too."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def erase(event_ids: tuple[str, ...], cancel_pending: bool, yes: bool, is_json: bool) -> None:
    """Erase the payload of each event, for good, on the database that DATABASE_URL names.

    That is its body, the values that it is found by, and what its attempts sent and got. Its deliveries stay
    in the log, without it, and cannot be replayed. Of several, one that cannot be erased keeps no other from
    it. For those who operate the platform.
    """
    from webhooks_app.cli import erasure  # which loads what talking to a platform has no use for

    if not yes:
        which = (
            f"payload of {event_ids[0]}" if len(event_ids) == 1 else f"payloads of {len(event_ids)} events"
        )
        confirm(f"Erase the {which}, for good?", is_json=is_json)
    erasure.erase_events(list(dict.fromkeys(event_ids)), cancel_pending=cancel_pending, is_json=is_json)


@click.command(cls=ApiCommand)
@click.argument("event_type", metavar="TYPE")
@click.option("--endpoint", metavar="ID", help="As a test event to this endpoint only, a listener as well.")
@as_json
@with_client
def send_example(client: ApiClient, event_type: str, endpoint: str | None, is_json: bool) -> None:
    """Send the catalog's example of an event type.

    Needs the scope events:send, or for one endpoint endpoints:write.
    """
    if endpoint:
        answer = client.request("POST", f"/endpoints/{endpoint}/test", body={"type": event_type})
        print_fields(answer.body, is_json=is_json)
        return
    catalog = client.request("GET", "/event-types").body["event_types"]
    found = next((each for each in catalog if each["name"] == event_type), None)
    if found is None:
        close = get_close_matches(event_type, [each["name"] for each in catalog], 1)
        hint = f"; did you mean “{close[0]}”?" if close else "."
        message = f"“{event_type}” is not in the platform's catalog{hint}"
        raise ApiFailure(message, status=422, code="unknown_event_type", field="type")
    print_fields(send_event(client, event_type, found["example"], None), is_json=is_json)


def send_event(client: ApiClient, event_type: str, data: Any, key: str | None) -> dict[str, Any]:
    """Send an event; without a key of the caller's, one that keeps our own retries from sending it twice."""
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    body = {"type": event_type, "data": data}
    sent: dict[str, Any] = client.request(
        "POST", "/events", body=body, headers=headers, is_repeatable=True
    ).body
    return sent


def read_data(given: str) -> Any:
    """Return the JSON that an option stands for. Raises UsageError."""
    try:
        if given.startswith("@") or given == "-":
            with click.open_file(given.removeprefix("@"), encoding="utf-8") as file:
                return json.load(file)
        return json.loads(given)
    except OSError as error:
        raise click.BadParameter(f"{given.removeprefix('@')} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"The data is not JSON: {error}.") from None


def _watched(tailing: Tailing) -> Iterator[dict[str, Any]]:
    """Yield what happens, however long the platform is away in between. Raises ApiFailure."""
    is_away = False
    while True:
        try:
            for row in tailing.read_new():
                yield {"delivery_id": row["id"], **row}
            if is_away:
                click.echo("Connected again.", err=True)
            if tailing.has_left_out:
                most = f"{tailing.limits.most_new:,}"
                click.echo(f"There is more than the newest {most}; the log has it all.", err=True)
            is_away = False
        except ApiFailure as failure:
            if failure.status not in AWAY_STATUSES:
                raise
            if not is_away:
                click.echo(f"{failure} Trying again until that is over; Ctrl-C ends.", err=True)
            is_away = True
        time.sleep(_LOOK_SECONDS)
