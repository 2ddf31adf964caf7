"""The event catalog from the shell: `catalog check`, `catalog diff`."""

import os
import sys
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

import click
from sqlalchemy import func, select

from webhooks_app import config
from webhooks_app.cli import row_output
from webhooks_app.cli.command_services import begin_command
from webhooks_app.db.engines import ReadDatabase
from webhooks_app.db.models import Endpoint, Subscription, Workspace
from webhooks_app.events import catalog, catalog_changes
from webhooks_app.events.catalog import Catalog, CatalogError
from webhooks_app.events.catalog_changes import CatalogChange
from webhooks_app.jobs.process import exit_on_start_error

_PATH = click.Path(exists=True, path_type=Path)
# As diff(1) ends where it found something.
_EXIT_BREAKS = 1


@click.group("catalog")
def catalog_group() -> None:
    """Check event types of your own, and what a change breaks."""


@catalog_group.command()
@click.argument("path", type=_PATH, required=False)
def check(path: Path | None) -> None:
    """Check a file, or a folder of files, of event types.

    Without PATH, those that WEBHOOKS_CATALOG names. Prints all that is wrong, each with its file and line,
    and ends with status 78 then.
    """
    with exit_on_start_error():
        loaded = _load(path or config.read(begins=False).catalog)
    count, groups = len(loaded.event_types), len(loaded.groups)
    click.echo(f"Nothing is wrong: {count} event types in {groups} groups.")


@catalog_group.command()
@click.argument("path", type=_PATH)
@row_output.as_json
def diff(path: Path, is_json: bool) -> None:
    """Show what breaks if PATH becomes the catalog, and which endpoints get those event types.

    Event types that leave; fields that become required; values that are no longer allowed; examples that no
    longer fit. Ends with status 1 where there is any of it.
    """
    with begin_command() as opened:
        changes = catalog_changes.breaking(opened.catalog, _load(path))
        endpoints = _endpoints(opened.read, {each.event_type for each in changes})
        takers = _count_takers(opened.read) if changes else 0
    rows = [_row(each, endpoints.get(each.event_type, ())) for each in changes]
    row_output.show(rows, is_json=is_json, nothing="Nothing breaks.")
    if takers:
        click.echo(f"Beside those named, {takers} more that get all events.", err=True)
    sys.exit(_EXIT_BREAKS if changes else os.EX_OK)


def _load(path: Path | None) -> Catalog:
    """Return the catalog, or print all that is wrong with it and end."""
    try:
        return catalog.load(path)
    except CatalogError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(error.exit_code)


def _row(change: CatalogChange, endpoints: Sequence[str]) -> row_output.ListedRow:
    what = change.what or "new events of it are refused"
    return {
        "change": change.kind.value,
        "event_type": change.event_type,
        "what": what,
        "endpoints": list(endpoints),
    }


def _endpoints(database: ReadDatabase, event_types: Collection[str]) -> dict[str, list[str]]:
    """Return who subscribes to each of the types by name: workspace, name and id of the endpoint."""
    if not event_types:
        return {}
    statement = (
        select(Subscription.event_type, Workspace.name, Endpoint.name, Endpoint.id)
        .join(Endpoint, Endpoint.id == Subscription.endpoint_id)
        .join(Workspace, Workspace.id == Endpoint.workspace_id)
        .where(Subscription.event_type.in_(event_types), Endpoint.deleted_at.is_(None))
        .order_by(Workspace.name, Endpoint.name, Endpoint.id)
    )
    found: defaultdict[str, list[str]] = defaultdict(list)
    with database.connect() as connection:
        for event_type, workspace, name, endpoint_id in connection.execute(statement):
            found[event_type].append(f"{workspace}: {name} ({endpoint_id})")
    return found


def _count_takers(database: ReadDatabase) -> int:
    """Count the endpoints that get all events."""
    statement = select(func.count()).where(Endpoint.all_events, Endpoint.deleted_at.is_(None))
    with database.connect() as connection:
        return connection.scalar(statement) or 0
