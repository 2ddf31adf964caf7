"""RateLimit and RateLimit-Policy: a token's limit, and what is left of it.

Structured fields (RFC 9651), as in draft-ietf-httpapi-ratelimit-headers-10. The unit is the event, of which a
batch has many.
"""

from webhooks_app.events.process_allowances import Allowance

NAMES = ("RateLimit", "RateLimit-Policy")
_POLICY = '"events"'


def rate_limit_headers(allowance: Allowance | None) -> dict[str, str]:
    """Return the headers; none for a token without a limit. Pure."""
    if allowance is None:
        return {}
    limit = allowance.limit
    return {
        "RateLimit": f"{_POLICY};r={allowance.left};t={allowance.seconds}",
        "RateLimit-Policy": f'{_POLICY};q={limit.burst};w={limit.window_seconds};qu="events"',
    }
