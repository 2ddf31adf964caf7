"""What an API token may do. Pure."""

from collections.abc import Iterable
from enum import StrEnum
from functools import cache


class TokenScope(StrEnum):
    """A right of a token; the event types may be read with any token."""

    EVENTS_SEND = "events:send"
    EVENTS_READ = "events:read"
    EVENTS_LISTEN = "events:listen"
    EVENTS_ERASE = "events:erase"
    ENDPOINTS_READ = "endpoints:read"
    ENDPOINTS_WRITE = "endpoints:write"
    DELIVERIES_READ = "deliveries:read"
    DELIVERIES_REPLAY = "deliveries:replay"


# As the console and the API's document describe them.
DESCRIPTIONS = {
    TokenScope.EVENTS_SEND: "Send events.",
    TokenScope.EVENTS_READ: "Read an event whose id or key is known, and how its deliveries stand.",
    TokenScope.EVENTS_LISTEN: "Receive events and their payloads on a developer's machine (`avra listen`).",
    TokenScope.EVENTS_ERASE: "Erase the payload of an event, for good; cancel what is to be sent of it.",
    TokenScope.ENDPOINTS_READ: "Read endpoints, what they subscribe to, and their health; no secrets.",
    TokenScope.ENDPOINTS_WRITE: "Add, change, test and delete endpoints; read and rotate their secrets.",
    TokenScope.DELIVERIES_READ: "Read the delivery log, its payloads and attempts, and recoveries.",
    TokenScope.DELIVERIES_REPLAY: "Replay and cancel deliveries; start and cancel recoveries.",
}
# What every token could do before tokens had scopes, and what one can that nobody chose any for.
FIRST_SCOPES = frozenset({TokenScope.EVENTS_SEND, TokenScope.EVENTS_READ})


def join(scopes: Iterable[TokenScope]) -> str:
    """Return the scopes as they are stored, in their fixed order: apart by spaces (RFC 6749, section 3.3)."""
    chosen = set(scopes)
    return " ".join(scope for scope in TokenScope if scope in chosen)


@cache
def parse(stored: str | None) -> frozenset[TokenScope]:
    """Return what `join` made the text of; None stands in tokens from before there were scopes.

    One that this version does not know, as a newer one may have stored it, counts for nothing.
    """
    if stored is None:
        return FIRST_SCOPES
    known = {scope.value: scope for scope in TokenScope}
    return frozenset(known[name] for name in stored.split() if name in known)
