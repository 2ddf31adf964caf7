"""How an attempt ends whose event's payload is damaged."""

from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.monitoring.stored_formats import StoredFormat, StoredFormats


def outcome(formats: StoredFormats) -> Outcome:
    """Return what is recorded of the attempt.

    The code from before bodies were packed knows no class for it, and would fail to show it.
    """
    if formats.newest() < StoredFormat.PACKED_BODIES:
        return Outcome(OutcomeClass.PLATFORM, detail="The stored payload is damaged.")
    return Outcome(OutcomeClass.PAYLOAD)
