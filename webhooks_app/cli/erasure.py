"""`avra events erase`: the payloads of events erased, on the database itself."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import click

from webhooks_app.cli import row_output
from webhooks_app.cli.command_services import begin_command
from webhooks_app.cli.shell_arguments import SHELL
from webhooks_app.core.clock import format_utc
from webhooks_app.db import transient_errors
from webhooks_app.db.engines import Databases
from webhooks_app.deliveries.erasure import database_copies, one_event
from webhooks_app.deliveries.erasure.erased_event import ErasedEvent
from webhooks_app.deliveries.erasure.one_event import StillPending, UnknownEvent, UpgradeUnderWay

_IN_LOG = (
    "The file beside the database (-wal) has bytes of it for as long as somebody reads from it. "
    "A repeat takes them away, as does the next run of retention."
)

_IN_STATISTICS = (
    "PostgreSQL's statistics (pg_stats) may have values by which it is found, as something is at the table "
    "events, such as a vacuum, or as this role may not ANALYZE it (avra doctor). A repeat takes them away "
    "where it may, as does the next run of retention."
)

_IN_UPGRADE = (
    "A web or worker of the version before may still run, and record what a receiver answers late. The runs "
    "of retention erase that until a day after the upgrade, and for as long as one runs."
)


class _Unavailable(click.ClickException):
    exit_code = os.EX_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class _Refusal:
    text: str
    kind: type[click.ClickException] = click.ClickException


def erase_events(event_ids: Sequence[str], *, cancel_pending: bool, is_json: bool) -> None:
    """Erase them, print what was erased, however it ends, and raise ClickException for what could not be."""
    erased: list[ErasedEvent] = []
    refused: list[_Refusal] = []
    with begin_command() as opened:
        try:
            for each in _erase_rows(opened.databases, event_ids, cancel_pending, refused):
                erased.append(each)
        finally:
            _print(_forget_copies(opened.databases, erased, refused), is_json=is_json)
    if refused:
        kind = max((each.kind for each in refused), key=lambda kind: kind.exit_code)
        raise kind("\n".join(each.text for each in refused))


def _forget_copies(
    databases: Databases, erased: Sequence[ErasedEvent], refused: list[_Refusal]
) -> Sequence[ErasedEvent]:
    """Return what was erased, with what is left: all copies where the database cannot serve just now."""
    try:
        return database_copies.forget_copies(databases, erased)
    except transient_errors.DATABASE_ERRORS as error:
        refused.append(_unavailable(error))
        return erased


def _print(erased: Sequence[ErasedEvent], *, is_json: bool) -> None:
    if any(each.are_samples_left for each in erased):
        click.echo("warning: " + _IN_STATISTICS, err=True)
    if any(each.is_left_in_wal for each in erased):
        click.echo("warning: " + _IN_LOG, err=True)
    if any(each.may_come_back for each in erased):
        click.echo("warning: " + _IN_UPGRADE, err=True)
    if is_json:
        row_output.show([asdict(each) for each in erased], is_json=True, nothing="")
        return
    for each in erased:
        click.echo(_summary(each))


def _erase_rows(
    databases: Databases, event_ids: Sequence[str], cancel_pending: bool, refused: list[_Refusal]
) -> Iterator[ErasedEvent]:
    """Yield what was erased; put into `refused` why others were not."""
    for event_id in event_ids:
        of_which = f"{event_id}: " if len(event_ids) > 1 else ""
        try:
            yield one_event.erase_rows(databases, event_id, cancel_pending=cancel_pending, actor=SHELL)
        except UnknownEvent:
            refused.append(_Refusal(f"There is no event {event_id}."))
        except UpgradeUnderWay as upgrade:
            refused.append(_Refusal(_held(upgrade.ends_at)))
            return  # which holds for all others
        except StillPending as pending:
            refused.append(_Refusal(of_which + _still_pending(pending, cancel_pending)))
        except transient_errors.DATABASE_ERRORS as error:
            refused.append(_unavailable(error, of_which))


def _unavailable(error: Exception, of_which: str = "") -> _Refusal:
    """Return what to say of a database that cannot serve just now; raises all other errors."""
    transient_errors.raise_unless_transient(error)
    reason = transient_errors.reason(error)
    return _Refusal(f"{of_which}The database does not answer as it should: {reason}", _Unavailable)


def _held(ends_at: datetime) -> str:
    return (
        "Processes of the version before may still run, and would send an erased event with an empty body "
        f"where somebody replays it. Nothing is erased before {format_utc(ends_at)}, a day after the upgrade."
    )


def _still_pending(pending: StillPending, cancel_pending: bool) -> str:
    deliveries = "1 delivery is" if pending.count == 1 else f"{pending.count} deliveries are"
    if cancel_pending:
        being_sent = f"{deliveries} being sent right now, which cannot be canceled. Try again in a moment."
        return f"{being_sent}{_canceled(pending.canceled)}"
    return f"{deliveries} still to be sent of this event. Wait for that, or say --cancel-pending."


def _canceled(count: int) -> str:
    return f" {count} {'delivery' if count == 1 else 'deliveries'} canceled." if count else ""


def _summary(erased: ErasedEvent) -> str:
    if erased.was_erased:
        since = format_utc(erased.payload_erased_at)
        return f"The payload of {erased.event_id} was erased before, on {since}."
    return (
        f"The payload of {erased.event_id} is erased, with what {erased.attempts_erased} of its attempts "
        f"sent and got.{_canceled(erased.deliveries_canceled)}"
    )
