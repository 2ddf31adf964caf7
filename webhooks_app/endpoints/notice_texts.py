"""The sentences of a notice about an endpoint, in the console and in its e-mail."""

from urllib.parse import urlsplit

from webhooks_app.core import clock, mail
from webhooks_app.db.models import Endpoint, Notice, NoticeKind
from webhooks_app.endpoints.health import LastFailure, last_failure


def title(notice: Notice) -> str:
    """Return the headline, which is also the subject of the e-mail."""
    return {
        NoticeKind.WARNING: "Webhook endpoint keeps failing",
        NoticeKind.FINAL_WARNING: "Webhook endpoint is about to be disabled",
        NoticeKind.DISABLED: "Webhook endpoint was disabled",
        NoticeKind.GONE: "Webhook endpoint answered 410 Gone and was disabled",
    }[notice.kind]


def reason(notice: Notice, last: LastFailure | None) -> str:
    """Say what happened; `last` is the last failure, if there is one."""
    if notice.kind is NoticeKind.GONE:
        return "It answered 410 Gone, which says that it wants no more deliveries."
    text = f" The last one: {last.label}. {last.description.reason}" if last else ""
    return f"Every attempt since {clock.format_utc(notice.streak_at)} failed.{text}"


def advice(notice: Notice, last: LastFailure | None) -> str:
    """Say what to do about it."""
    if notice.kind is NoticeKind.GONE:
        return (
            "If that was a mistake, enable the endpoint again; what came in meanwhile is held and can be "
            "sent then. If not, delete it."
        )
    hint = last.hint if last else ""
    if notice.kind is NoticeKind.DISABLED:
        after = "Then enable the endpoint again; what came in meanwhile is held and can be sent then."
    else:
        after = "Then replay a failed delivery to check it: one success ends the countdown."
    return f"{hint} {after}".strip()


def email_text(notice: Notice, endpoint: Endpoint, workspace: str, base_url: str) -> str:
    """Return the e-mail's text, with no more of the URL than its host."""
    last = last_failure(endpoint.health)
    paragraphs = [
        f"Endpoint:   {mail.one_line(endpoint.name)}\n"
        f"Workspace:  {mail.one_line(workspace)}\n"
        # Not the whole URL: its path or query may hold a secret, and an e-mail is read in many places.
        f"Host:       {urlsplit(endpoint.url).hostname}",
        reason(notice, last),
        _consequence(notice),
        advice(notice, last),
        f"{base_url}/w/{endpoint.workspace_id}/alerts/webhooks/endpoints/{endpoint.id}",
        f"You receive this because of the workspace {mail.one_line(workspace)}; its settings say who does.",
    ]
    return "\n\n".join(part for part in paragraphs if part) + "\n"


def _consequence(notice: Notice) -> str:
    if notice.disable_at is None:
        return "Nothing is sent to it any more. Nothing is lost either: its deliveries are held."
    disable_at = clock.format_utc(notice.disable_at)
    return (
        f"If this continues, the first attempt that fails after {disable_at} disables the "
        "endpoint. Its deliveries are then held, not lost."
    )
