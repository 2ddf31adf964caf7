"""`avra events erase`: the payload of one event erased, on the database itself."""

from dataclasses import asdict

import click

from webhooks_app.cli import listing
from webhooks_app.cli.command_services import begin_command
from webhooks_app.cli.shell_arguments import SHELL
from webhooks_app.deliveries import event_erasure
from webhooks_app.deliveries.event_erasure import ErasedEvent, StillPending, UnknownEvent


def erase_event(event_id: str, *, cancel_pending: bool, is_json: bool) -> None:
    """Erase it and print what was erased. Raises ClickException."""
    with begin_command() as opened:
        try:
            erased = event_erasure.erase(
                opened.databases, event_id, cancel_pending=cancel_pending, actor=SHELL
            )
        except UnknownEvent:
            raise click.ClickException(f"There is no event {event_id}.") from None
        except StillPending as pending:
            raise click.ClickException(_still_pending(pending.count, cancel_pending)) from None
    if is_json:
        listing.show([asdict(erased)], is_json=True, nothing="")
    else:
        click.echo(_summary(erased))


def _still_pending(count: int, cancel_pending: bool) -> str:
    deliveries = "1 delivery is" if count == 1 else f"{count} deliveries are"
    if cancel_pending:
        return f"{deliveries} being sent right now, which cannot be canceled. Try again in a moment."
    return f"{deliveries} still to be sent of this event. Wait for that, or say --cancel-pending."


def _summary(erased: ErasedEvent) -> str:
    count = erased.deliveries_canceled
    canceled = f" {count} {'delivery' if count == 1 else 'deliveries'} canceled." if count else ""
    if erased.was_erased:
        since = erased.payload_erased_at.strftime("%Y-%m-%d %H:%M UTC")
        return f"The payload of {erased.event_id} was erased before, on {since}."
    return (
        f"The payload of {erased.event_id} is erased, with what {erased.attempts_erased} of its attempts "
        f"sent and got.{canceled}"
    )
