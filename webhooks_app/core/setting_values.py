"""The kinds of values that settings have: each is parsed or refused with one line. Pure.

`env` maps the names of settings to their texts; a name that is not in it takes the default.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from webhooks_app.core import redis_url
from webhooks_app.core.rate_limit import FASTEST_RATE, LARGEST_BURST, RateLimit
from webhooks_app.core.redis_url import RedisAddress
from webhooks_app.core.start_errors import StartError

_PATH_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")
_USUAL_PORTS = {"http": 80, "https": 443}
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
_FERNET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")


class ConfigError(StartError):
    """A setting that cannot be used; the message is the one line to show."""


def number(env: Mapping[str, str], name: str, default: int, lowest: int, highest: int) -> int:
    text = env.get(name, str(default))
    if not _is_number(text) or not lowest <= int(text) <= highest:
        raise ConfigError(f"{name} must be a whole number from {lowest} to {highest}, not {text[:40]!r}.")
    return int(text)


def rate_limit(env: Mapping[str, str], rate: str, burst: str) -> RateLimit | None:
    """Return the limit that two settings make, None without a rate."""
    if rate not in env:
        if burst in env:
            raise ConfigError(f"{rate} must be set when {burst} is.")
        return None
    most = number(env, burst, 1, 1, LARGEST_BURST) if burst in env else None
    return RateLimit.of(number(env, rate, 1, 1, FASTEST_RATE), most)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 12


def flag(env: Mapping[str, str], name: str) -> bool:
    return one_of(env, name, "0", ("0", "1")) == "1"


def one_of(env: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    value = env.get(name, default)
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def days(env: Mapping[str, str], name: str, default: str) -> timedelta:
    """Return a number of days, fractions allowed."""
    text = env.get(name, default)
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", text) or float(text) > 365:
        raise ConfigError(f"{name} must be a number of days from 0 (never) to 365, not {text[:40]!r}.")
    return timedelta(days=float(text))


def delays(env: Mapping[str, str], name: str, default: tuple[float, ...]) -> tuple[float, ...]:
    """Return a schedule: seconds between one attempt and the next."""
    text = env.get(name)
    if text is None:
        return default
    try:
        seconds = tuple(float(part) for part in text.split(","))
    except ValueError:
        seconds = ()
    if not seconds or not all(0 < each <= 30 * 86_400 for each in seconds) or len(seconds) > 50:
        raise ConfigError(f"{name} must be 1 to 50 delays in seconds, comma-separated, such as 5,300,1800.")
    return seconds


def ports(name: str, text: str) -> frozenset[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(_is_number(part) and 0 < int(part) < 65536 for part in parts):
        raise ConfigError(f"{name} must be port numbers separated by commas.")
    return frozenset(int(part) for part in parts)


def fernet_keys(name: str, text: str) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in text.split(",") if key.strip())
    if not keys:
        raise ConfigError(f"{name} holds no key.")
    for position, key in enumerate(keys, start=1):
        if not _FERNET_KEY.fullmatch(key):
            raise ConfigError(f"{name}: key {position} is not a Fernet key (32 bytes, url-safe base64).")
    return keys


def token(env: Mapping[str, str], name: str) -> str | None:
    """Return a secret that others send along, or None where there is none."""
    text = env.get(name)
    if text is not None and not (
        len(text) >= 16 and text.isascii() and text.isprintable() and " " not in text
    ):
        raise ConfigError(f"{name} must have at least 16 printable ASCII characters, and no space.")
    return text


def addresses(env: Mapping[str, str], name: str) -> frozenset[str]:
    """Return e-mail addresses, in lower case."""
    found = [part.strip().lower() for part in env.get(name, "").split(",") if part.strip()]
    if not all(_ADDRESS.fullmatch(each) for each in found):
        raise ConfigError(f"{name} must be e-mail addresses separated by commas.")
    return frozenset(found)


def redis_address(name: str, url: str) -> RedisAddress:
    try:
        return redis_url.parse(url)
    except ValueError as error:
        raise ConfigError(f"{name} {error}.") from None


def console_url(env: Mapping[str, str], name: str, default: str) -> str:
    """Return the public address of the console, without a slash at its end; its path may be a prefix.

    Scheme and host are in lower case, and a port that goes without saying is left out, as browsers have it.
    """
    url = env.get(name, default).rstrip("/")
    if not _is_console_url(url):
        raise ConfigError(
            f"{name} must be the console's address, such as https://webhooks.example.com, "
            "or with a path before all of its own, such as https://example.com/webhooks."
        )
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    is_usual = parts.port in (None, _USUAL_PORTS[parts.scheme])
    return f"{parts.scheme}://{host}{'' if is_usual else f':{parts.port}'}{parts.path}"


def _is_console_url(url: str) -> bool:
    # `urlsplit` leaves line breaks and tabs out, which would go on into e-mails.
    if not has_good_port(url) or not url.isprintable() or any(sign in url for sign in "?#@ "):
        return False
    parts = urlsplit(url)
    segments = parts.path.split("/")[1:]
    has_good_path = all(_PATH_SEGMENT.fullmatch(each) and each not in (".", "..") for each in segments)
    return parts.scheme in _USUAL_PORTS and bool(parts.hostname) and has_good_path


def has_good_port(url: str) -> bool:
    """Return whether the URL can be parsed and names no port, or one from 1 to 65535."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False
