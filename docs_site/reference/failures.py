"""The page of the failure classes with their advice, and what each answer means for its delivery."""

from datetime import UTC, datetime

from webhooks_app.core.outcome_descriptions import DESCRIPTIONS, HINTS_BY_STATUS
from webhooks_app.core.outcomes import PLATFORM_FAILURES, Outcome, OutcomeClass, classify_status
from webhooks_app.core.retry_schedule import DEFAULT_DELAYS
from webhooks_app.db.models.delivery_tables import DeliveryState
from webhooks_app.web.documents.document_blocks import markdown_table
from webhooks_app.worker import retry_decision

_HEAD = """# Why attempts fail

Every attempt ends in one of these classes, which the log, the API (`outcome`) and `avra deliveries` name
alike. Written by `make reference`."""
_STATUSES = """## Advice for a status

Some statuses say more than their class:"""
_OWN = """Failures that are this platform's own say nothing about the endpoint, and never disable one."""
_SAID = (
    (200, "200 to 299"),
    (301, "300 to 399"),
    (410, "410"),
    (429, "429"),
    (400, "any other 400 to 499"),
    (503, "503"),
    (500, "any other 500 to 599"),
)
# Of the classes whose answers may ask to wait, a status that is heard.
_STATUS = {OutcomeClass.HTTP_429: 429, OutcomeClass.HTTP_5XX: 503}
_UNANSWERED = (
    OutcomeClass.TIMEOUT,
    OutcomeClass.CONNECTION_LOST,
    OutcomeClass.CONNECT,
    OutcomeClass.DNS,
    OutcomeClass.TLS,
    OutcomeClass.BLOCKED,
    OutcomeClass.INVALID_RESPONSE,
)


def write() -> str:
    rows = [
        (f"`{kind.value}`", each.label, each.reason, each.hint, _follows(kind, _STATUS.get(kind, 0)))
        for kind, each in DESCRIPTIONS.items()
    ]
    own = ", ".join(f"`{kind.value}`" for kind in DESCRIPTIONS if kind in PLATFORM_FAILURES)
    hints = markdown_table(
        ("Status", "What to do"), [(str(code), hint) for code, hint in HINTS_BY_STATUS.items()]
    )
    head = ("Class", "Called", "What happened", "What to do", "Then")
    parts = (_HEAD, markdown_table(head, rows), f"{_OWN} They are {own}.", _STATUSES, hints)
    return "\n\n".join(parts) + "\n"


def answers() -> str:
    """Return the table of what a receiver may answer, and what follows from it."""
    statuses = [
        (
            said,
            _reason(classify_status(status)),
            _follows(classify_status(status), status),
        )
        for status, said in _SAID
    ]
    others = [(DESCRIPTIONS[kind].label, _reason(kind), _follows(kind, 0)) for kind in _UNANSWERED]
    return markdown_table(("Your server's answer", "Counts as", "Then"), [*statuses, *others])


def _reason(kind: OutcomeClass) -> str:
    return "success" if kind is OutcomeClass.SUCCESS else f"failure, `{kind.value}`"


def _follows(kind: OutcomeClass, status: int) -> str:
    """Say what the worker does after a first attempt with that outcome."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    asked = retry_decision.decide(
        Outcome(kind, status=status), attempts_in_schedule=1, delays=DEFAULT_DELAYS, chance=0.0, now=now
    )
    if asked.state is DeliveryState.DELIVERED:
        return "done"
    if kind is OutcomeClass.HTTP_410:
        return "not tried again; the endpoint is disabled"
    if asked.state is DeliveryState.FAILED:
        return "not tried again"
    return "tried again" + (", not before its `Retry-After`" if _hears_retry_after(kind, status, now) else "")


def _hears_retry_after(kind: OutcomeClass, status: int, now: datetime) -> bool:
    later = Outcome(kind, status=status, retry_after="3600")
    decided = retry_decision.decide(later, attempts_in_schedule=1, delays=DEFAULT_DELAYS, chance=0.0, now=now)
    assert decided.next_attempt_at is not None
    return (decided.next_attempt_at - now).total_seconds() >= 3600
