"""`avra endpoints`: endpoints managed over the API."""

from typing import Any

import click

from webhooks_app.cli import api_events
from webhooks_app.cli.api_client import ApiClient
from webhooks_app.cli.api_command import ApiCommand, confirm, with_client
from webhooks_app.cli.api_output import OutputColumn, as_json, cell, plain, print_fields, print_rows
from webhooks_app.cli.endpoint_lookup import find_endpoint
from webhooks_app.cli.option_types import Header
from webhooks_app.core.url_masking import mask_url

_COLUMNS = ("id", "name", "state", "url", "all_events", "event_types")
_FOR_PEOPLE = (
    plain("id"),
    plain("name"),
    plain("state"),
    OutputColumn("events", lambda row: "all" if row["all_events"] else cell(row["event_types"])),
    plain("url"),
)
# The scopes of commands that look an endpoint up before they change it.
_CHANGING = ("endpoints:read", "endpoints:write")
_ENDPOINT = click.argument("endpoint", metavar="ENDPOINT")
_EVENTS = click.option(
    "--events", metavar="TYPES", help="Event types, separated by commas; all for every one."
)
_TIMEOUT = click.option("--timeout", type=click.IntRange(1, 30), help="Seconds for an answer.")
_RATE = click.option("--rate", type=click.IntRange(0), help="Requests a second at most; 0 for no limit.")
_HEADERS = click.option(
    "--header", "headers", type=Header(), multiple=True, help="'Name: value'; repeatable."
)


@click.group(name="endpoints")
def endpoints_group() -> None:
    """List, add, change and try endpoints. ENDPOINT is an id or a name.

    Reading needs the scope endpoints:read, the rest endpoints:write.
    """


@endpoints_group.command("list", cls=ApiCommand)
@click.option("--state", type=click.Choice(["enabled", "disabled"]))
@click.option("--event", "event_type", metavar="TYPE", help="Those that get events of this type.")
@as_json
@with_client
def list_endpoints(client: ApiClient, state: str | None, event_type: str | None, is_json: bool) -> None:
    """List the endpoints, newest first."""
    query = {name: value for name, value in (("state", state), ("event_type", event_type)) if value}
    shown = (_shown(row, is_json=is_json) for row in client.each("/endpoints", query))
    print_rows(shown, _COLUMNS, is_json=is_json, nothing="There is no endpoint.", for_people=_FOR_PEOPLE)


@endpoints_group.command(cls=ApiCommand)
@_ENDPOINT
@as_json
@with_client
def show(client: ApiClient, endpoint: str, is_json: bool) -> None:
    """Show an endpoint and its health."""
    found = find_endpoint(client, endpoint)
    health = client.request("GET", f"/endpoints/{found['id']}/health").body
    if is_json:
        print_fields({**found, "health": health}, is_json=True)
        return
    fields = {f"health_{name}": value for name, value in health.items()}
    print_fields(_shown(found, is_json=False) | fields, is_json=False)


@endpoints_group.command(cls=ApiCommand)
@click.argument("url")
@click.option("--name", help="Otherwise the URL's host.")
@_EVENTS
@_TIMEOUT
@_RATE
@_HEADERS
@as_json
@with_client
def create(client: ApiClient, url: str, is_json: bool, **options: Any) -> None:
    """Add an endpoint, and print it with its signing secret; for all events unless --events names some."""
    body = {"url": url} | _values(options | {"events": options["events"] or "all"})
    _print(client.request("POST", "/endpoints", body=body).body, is_json=is_json)


@endpoints_group.command(cls=ApiCommand, scopes=_CHANGING)
@_ENDPOINT
@click.option("--url")
@click.option("--name")
@_EVENTS
@_TIMEOUT
@_RATE
@_HEADERS
@as_json
@with_client
def update(client: ApiClient, endpoint: str, url: str | None, is_json: bool, **options: Any) -> None:
    """Change what is named; the rest stays. --header replaces all headers."""
    body = _values(options) | ({"url": url} if url else {})
    if not body:
        raise click.UsageError("Name what is to be changed.")
    found = find_endpoint(client, endpoint)
    answer = client.request("PATCH", f"/endpoints/{found['id']}", body=body, is_repeatable=True)
    _print(answer.body, is_json=is_json)


@endpoints_group.command(cls=ApiCommand, scopes=_CHANGING)
@_ENDPOINT
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@with_client
def delete(client: ApiClient, endpoint: str, yes: bool, is_json: bool) -> None:
    """Delete an endpoint: what waits for it is canceled, its log stays. With --json, prints what it was."""
    found = find_endpoint(client, endpoint)
    if not yes:
        confirm(f"Delete “{found['name']}” ({mask_url(found['url'])})?", is_json=is_json)
    client.request("DELETE", f"/endpoints/{found['id']}")
    if is_json:
        print_fields(found, is_json=True)


@endpoints_group.command(cls=ApiCommand, scopes=_CHANGING)
@_ENDPOINT
@click.option("--held", type=click.Choice(["send", "discard"]), help="What becomes of what was held.")
@as_json
@with_client
def enable(client: ApiClient, endpoint: str, held: str | None, is_json: bool) -> None:
    """Enable an endpoint."""
    path = f"/endpoints/{find_endpoint(client, endpoint)['id']}/enable"
    body = {"held": held} if held else {}
    _print(client.request("POST", path, body=body, is_repeatable=True).body, is_json=is_json)


@endpoints_group.command(cls=ApiCommand, scopes=_CHANGING)
@_ENDPOINT
@as_json
@with_client
def disable(client: ApiClient, endpoint: str, is_json: bool) -> None:
    """Disable an endpoint: its deliveries are held."""
    path = f"/endpoints/{find_endpoint(client, endpoint)['id']}/disable"
    _print(client.request("POST", path, is_repeatable=True).body, is_json=is_json)


@endpoints_group.command(cls=ApiCommand, scopes=_CHANGING)
@_ENDPOINT
@click.argument("event_type", metavar="TYPE")
@click.option("--data", help="JSON, @file or -; otherwise the catalog's example.")
@as_json
@with_client
def test(client: ApiClient, endpoint: str, event_type: str, data: str | None, is_json: bool) -> None:
    """Send a test event of TYPE to this endpoint only."""
    body = {"type": event_type} | ({"data": api_events.read_data(data)} if data else {})
    path = f"/endpoints/{find_endpoint(client, endpoint)['id']}/test"
    print_fields(client.request("POST", path, body=body).body, is_json=is_json)


@endpoints_group.command(cls=ApiCommand, scopes=_CHANGING)
@_ENDPOINT
@click.option("--overlap", type=click.Choice(["now", "1h", "24h", "7d"]), default="24h", show_default=True)
@as_json
@with_client
def rotate(client: ApiClient, endpoint: str, overlap: str, is_json: bool) -> None:
    """Give an endpoint a new signing secret, and print it; the old one signs too for the overlap."""
    path = f"/endpoints/{find_endpoint(client, endpoint)['id']}/secrets"
    answer = client.request("POST", path, body={"overlap": overlap})
    print_fields(answer.body, is_json=is_json)


def _print(endpoint: dict[str, Any], *, is_json: bool) -> None:
    print_fields(_shown(endpoint, is_json=is_json), is_json=is_json)


def _shown(endpoint: dict[str, Any], *, is_json: bool) -> dict[str, Any]:
    """Return an endpoint as it is printed: text ends in terminals and logs, so credentials are masked."""
    return endpoint if is_json else endpoint | {"url": mask_url(endpoint["url"])}


def _values(options: dict[str, Any]) -> dict[str, Any]:
    """Return what the options ask for, as the API takes it."""
    values: dict[str, Any] = {}
    if options["name"]:
        values["name"] = options["name"]
    if options["events"] == "all":
        values["all_events"] = True
    elif options["events"]:
        values["event_types"] = [each.strip() for each in options["events"].split(",") if each.strip()]
    if options["timeout"]:
        values["timeout_seconds"] = options["timeout"]
    if options["rate"] is not None:
        values["rate_per_second"] = options["rate"] or None
    if options["headers"]:
        values["headers"] = [{"name": name, "value": value} for name, value in options["headers"]]
    return values
