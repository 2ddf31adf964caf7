"""Headers by which a reverse proxy says whom it asks for: not believed where none is configured, but told of.

Until `WEBHOOKS_TRUSTED_PROXIES` counts it, everybody behind a proxy has the proxy's address, in the audit log
and for the limit on log-ins.
"""

import logging
import threading
from collections.abc import Callable

from flask import request

from webhooks_app.extensions import services

log = logging.getLogger(__name__)

# As proxies send them (the first one is RFC 7239's), and `Script-Name`, by which some servers move the
# application to another path.
NAMES = (
    *("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix"),
    *("X-Forwarded-Proto", "X-Real-IP", "Script-Name"),
)


def problem() -> str:
    """Return what is wrong with how this request came through proxies, in a sentence, or nothing."""
    trusted = services().settings.trusted_proxies
    if not trusted:
        names = [name for name in NAMES if name in request.headers]
        return _UNCONFIGURED.format(names=", ".join(names)) if names else ""
    hops = _hops()
    return _TOO_FEW.format(trusted=trusted, hops=len(hops)) if 0 < len(hops) < trusted else ""


def unbelieved_client() -> str:
    """Return whom a proxy that is not configured says it asks for, or nothing; never more than a claim."""
    claims = _hops() or [request.headers.get("X-Real-IP") or request.headers.get("Forwarded") or ""]
    return claims[-1] if claims[-1] and problem() else ""


def warn_once() -> Callable[[], None]:
    """Return what looks at each request of a process, and logs the first problem."""
    first = threading.Lock()  # taken by the first and never released

    def warn() -> None:
        if not first.locked() and (sentence := problem()) and first.acquire(blocking=False):
            log.warning(sentence)

    return warn


def _hops() -> list[str]:
    """Return the addresses of `X-Forwarded-For`; each proxy adds the one that it was asked from."""
    return [hop for part in request.headers.get("X-Forwarded-For", "").split(",") if (hop := part.strip())]


_UNCONFIGURED = (
    "A request came with {names}, which is not believed. Set WEBHOOKS_TRUSTED_PROXIES to how many "
    "reverse proxies stand in a row; until then everybody has the address of the last one."
)
_TOO_FEW = (
    "WEBHOOKS_TRUSTED_PROXIES is {trusted}, but a request came through {hops} by its X-Forwarded-For. Set it "
    "to how many really stand in a row; until then everybody has the address of the last one."
)
