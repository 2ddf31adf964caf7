"""What is said of an event whose payload somebody has erased, or may not erase yet. Pure."""

from webhooks_app.core.clock import format_rfc3339
from webhooks_app.deliveries.erasure.erased_event import ErasedEvent
from webhooks_app.deliveries.erasure.one_event import StillPending, UpgradeUnderWay


def summarize(erased: ErasedEvent) -> str:
    """Return what was erased, in sentences."""
    attempts = _count(erased.attempts_erased, "attempt")
    done = (
        "The payload was erased before."
        if erased.was_erased
        else f"The payload is erased, with what {attempts} sent and got."
    )
    canceled = erased.deliveries_canceled
    sentences = [done, f"{_count(canceled, 'delivery', 'deliveries')} canceled." if canceled else ""]
    if erased.may_come_back:
        sentences.append(
            "A process of the version before may still record what a receiver answers late, which the "
            "runs of retention erase."
        )
    elif not erased.is_complete:
        sentences.append("The rest of it goes with the next run of retention, within the hour.")
    return " ".join(filter(None, sentences))


def explain_pending(pending: StillPending, *, was_cancel_asked: bool) -> str:
    """Return why nothing was erased as something is still to be sent, and what to do."""
    still = "is" if pending.count == 1 else "are"
    deliveries = f"{_count(pending.count, 'delivery', 'deliveries')} {still}"
    if not was_cancel_asked:
        return f"{deliveries} still to be sent of this event. Wait for that, or have it canceled."
    canceled = f" {_count(pending.canceled, 'delivery', 'deliveries')} canceled." if pending.canceled else ""
    if pending.was_time_over:
        return f"{deliveries} still to be canceled, or being sent; ask for it again.{canceled}"
    return f"{deliveries} being sent right now, which cannot be canceled. Try again in a moment.{canceled}"


def explain_upgrade(upgrade: UpgradeUnderWay) -> str:
    """Return why nothing may be erased yet."""
    return (
        "Processes of the version before may still run, and would send an erased event with an empty body. "
        f"Nothing is erased before {format_rfc3339(upgrade.ends_at)}, a day after the upgrade."
    )


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"
