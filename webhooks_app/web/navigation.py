"""The console's side navigation, and what else the frame of every page shows."""

from typing import Any, NamedTuple

from flask import g

from webhooks_app.db.models import Role
from webhooks_app.extensions import services
from webhooks_app.web import operations_page
from webhooks_app.web.access import own_workspaces
from webhooks_app.web.middleware import forwarded_headers


class Link(NamedTuple):
    """`key` opens it, pressed behind a g."""

    view: str
    icon: str
    label: str
    key: str


class LinkGroup(NamedTuple):
    title: str
    links: tuple[Link, ...]


NAVIGATION = (
    LinkGroup(
        "Webhooks",
        (
            Link("endpoints.index", "endpoint", "Endpoints", "e"),
            Link("deliveries.index", "list", "Deliveries", "d"),
            Link("traffic.show", "chart", "Traffic", "f"),
            Link("recoveries.index", "replay", "Recoveries", "r"),
            Link("catalog.index", "book", "Event catalog", "c"),
        ),
    ),
    LinkGroup(
        "Workspace",
        (
            Link("tokens.index", "key", "API tokens", "t"),
            Link("api_reference.index", "book", "API reference", "p"),
            Link("members.index", "people", "Members", "m"),
            Link("audit.index", "log", "Audit log", "a"),
            Link("settings.show", "settings", "Settings", "s"),
        ),
    ),
)
_FOR_OPERATORS = LinkGroup("Platform", (Link("operations.show", "info", "Operations", "o"),))


def frame_variables() -> dict[str, Any]:
    """Return the variables that `_base.html` reads on every page."""
    member = g.get("member")
    is_operator = member is not None and operations_page.is_operator()
    return {
        "navigation": (*NAVIGATION, _FOR_OPERATORS) if is_operator else NAVIGATION,
        "workspace": g.get("workspace"),
        "member": member,
        "own_workspaces": own_workspaces,
        "redis_problem": services().wake_ups.known_problem,
        "proxy_problem": forwarded_headers.problem() if member and member.role is Role.ADMIN else "",
    }
