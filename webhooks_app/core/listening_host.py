"""The host that the web listens on, not to be confused with the HOST that some shells set."""

import re
import socket
from collections.abc import Mapping

from webhooks_app.core.ip_addresses import is_address
from webhooks_app.core.setting_values import ConfigError

DEFAULT = "127.0.0.1"
_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
# Somebody meant an address: nothing but digits, dots, colons and brackets, hexadecimal ones after a colon.
_LIKE_AN_ADDRESS = re.compile(r"[0-9.\[\]]+|[0-9A-Fa-f.\[\]]*:[0-9A-Za-z.:\[\]%]*")


def read(env: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the host name or address to listen on, without brackets, and sentences to warn of.

    WEBHOOKS_HOST is taken as it is, or else HOST if it can be meant: conda's compilers export HOST with the
    name of a platform, such as x86_64-conda-linux-gnu. Raises ConfigError.
    """
    if "WEBHOOKS_HOST" in env:
        return _checked("WEBHOOKS_HOST", env["WEBHOOKS_HOST"]), []
    host = env.get("HOST", DEFAULT)
    if _is_usable(host):
        return host, []
    if _LIKE_AN_ADDRESS.fullmatch(host):
        return _checked("HOST", host), []
    return DEFAULT, [
        f"HOST is {host[:80]!r}, which is no address and no host that can be found, so it is ignored and "
        f"the web listens on {DEFAULT}. Set WEBHOOKS_HOST to listen elsewhere."
    ]


def read_metrics(env: Mapping[str, str], port: int) -> tuple[str, int] | None:
    """Return the address and port for metrics; None where there are to be none. Raises ConfigError.

    `port` is the web's, which it may not be: who reaches the web would be given metrics without a token.
    """
    name = "WEBHOOKS_METRICS_LISTEN"
    text = env.get(name, "")
    if not text:
        return None
    host, _, digits = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_number = digits.isascii() and digits.isdecimal() and len(digits) < 6
    if not (is_address(host) and is_number and 0 < int(digits) < 65536):
        raise ConfigError(f"{name} must be an IP address and a port, such as 127.0.0.1:9464.")
    if int(digits) == port:
        raise ConfigError(f"{name} has the port of the web, {port} (PORT); metrics need one of their own.")
    return host, int(digits)


def _checked(setting: str, host: str) -> str:
    if is_address(host) or (_HOST_NAME.fullmatch(host) and not _LIKE_AN_ADDRESS.fullmatch(host)):
        return host
    raise ConfigError(f"{setting} must be a host name or an IP address, not {host[:80]!r}.")


def _is_usable(host: str) -> bool:
    return is_address(host) or (bool(_HOST_NAME.fullmatch(host)) and _is_found(host))


def _is_found(name: str) -> bool:
    if _LIKE_AN_ADDRESS.fullmatch(name):  # the system would read 127.1 as 127.0.0.1
        return False
    try:
        return bool(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        return False
