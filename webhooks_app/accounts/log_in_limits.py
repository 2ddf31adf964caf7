"""How often somebody may try a password.

A try is counted before its password is checked, in a statement that refuses the one too many, so that tries
at the same moment cannot overshoot; the right password gives it back.

By account, so that one is not guessed at from many addresses, and by address, so that one address does not
try a password on many accounts (OWASP, Authentication Cheat Sheet, "Login throttling"). A browser in which
that account was logged in to before has an allowance of its own, which strangers cannot use up (OWASP, "Slow
Down Online Guessing Attacks with Device Cookies").
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import update

from webhooks_app.accounts.windowed_counts import WindowedLimit, key_of, take
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import LogInTries


@dataclass(frozen=True, slots=True)
class LogInLimits:
    """Tries in a window, which begins with the first of them.

    Behind a proxy that is not configured everybody has its address. `per_unknown_proxy` is so large that one
    client, who is held to `per_address`, cannot use it up for all the others, and bounds what somebody can
    try who only claims to be such a proxy.
    """

    per_account: int = 10
    per_address: int = 30
    per_device: int = 10
    per_unknown_proxy: int = 300
    window: timedelta = timedelta(minutes=15)


DEFAULT_LIMITS = LogInLimits()


@dataclass(frozen=True, slots=True)
class Source:
    """Where a try comes from.

    `device` is a browser that is known for this account, `claimed_client` whom a proxy that is not configured
    says it asks for; empty where there is none.
    """

    address: str
    claimed_client: str = ""
    device: str = ""


class _Spent(Exception):
    """One of the allowances has no try left."""


def allowances(email: str, source: Source, limits: LogInLimits = DEFAULT_LIMITS) -> list[WindowedLimit]:
    """Return what a try to log in to that account, from there, needs one try of each. Pure."""
    if source.device:
        return [WindowedLimit(key_of("device", source.device), limits.per_device)]
    network = limit_key(source.address)
    account = WindowedLimit(key_of("account", email), limits.per_account)
    address = WindowedLimit(key_of("address", network), limits.per_address)
    if not source.claimed_client or _is_public(source.address):
        return [account, address]
    client = key_of("client", network, limit_key(source.claimed_client))
    return [
        account,
        WindowedLimit(address.key, limits.per_address, counts=False),
        WindowedLimit(client, limits.per_address),
        WindowedLimit(key_of("proxy", network), limits.per_unknown_proxy),
    ]


def reserve(
    database: WriteDatabase,
    limits: Sequence[WindowedLimit],
    *,
    now: datetime,
    window: timedelta = DEFAULT_LIMITS.window,
) -> bool:
    """Count one try under each of the allowances; return False, and count none, where one has none left."""
    try:
        with database.begin() as connection:
            for allowance in limits:
                if not take(connection, allowance, now, window):
                    raise _Spent
    except _Spent:
        return False
    return True


def give_back(database: WriteDatabase, taken: Sequence[WindowedLimit], *, now: datetime) -> None:
    """Count no longer what `reserve` has counted: the password was right."""
    with database.begin() as connection:
        for allowance in taken:
            is_current = LogInTries.key == allowance.key, LogInTries.resets_at > now, LogInTries.tries > 0
            if allowance.counts:
                connection.execute(update(LogInTries).where(*is_current).values(tries=LogInTries.tries - 1))


_WITH_PORT = re.compile(r"\A(?:\[(.*)\](?::\d+)?|([\d.]+):\d+)\Z")


def limit_key(address: str) -> str:
    """Return what log-ins are counted by: of IPv6 the /64, since whoever has one address has 2^64."""
    try:
        parsed = ipaddress.ip_address(_WITH_PORT.sub(r"\1\2", address))  # as some proxies write it
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))


def _is_public(address: str) -> bool:
    """Tell an address of the internet, which is no proxy of ours, from one inside, or a socket's."""
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False
