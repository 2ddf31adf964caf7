"""The address of Redis: one server, or Sentinels that know which server is the primary. Pure.

`redis+sentinel://user:password@host:26379,host:26379/name/0` names the Sentinels, then what they call the
primary, then the database. `rediss` instead of `redis` means TLS, with Sentinels for them and for Redis.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

CA_FILE = "ssl_ca_certs"
FILES = (CA_FILE, "ssl_certfile", "ssl_keyfile")
# How the client of Redis behaves is ours to say, so what other tools put here for it is left out.
_LEFT_OUT = frozenset(
    (
        *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "socket_read_size", "timeout"),
        *("retry_on_timeout", "retry_on_error", "max_connections", "health_check_interval", "protocol"),
        *("client_name", "decode_responses", "encoding", "encoding_errors"),
    )
)
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
_OPTIONS = frozenset(("db", "username", "password", "ssl_cert_reqs", "ssl_check_hostname", *FILES))
_CHOICES = {
    "ssl_cert_reqs": ("required", "optional", "none"),
    "ssl_check_hostname": ("True", "true", "1", "False", "false", "0"),
}
_SENTINEL_PORT = 26379
_EXAMPLES = "redis://host:6379/0, rediss://…, unix:///path/to/socket or redis+sentinel://host,host/name/0"
_ESCAPES = "in a user name or password, / ? # % @ are written %2F %3F %23 %25 %40"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """`url` is what redis-py takes; with Sentinels its host is one of them, and `service` their primary."""

    url: str
    files: tuple[str, ...]
    service: str | None = None
    sentinels: tuple[tuple[str, int], ...] = ()
    sentinel_log_in: Mapping[str, str] | None = None


def parse(url: str) -> RedisAddress:
    """Return what the URL says. Raises ValueError with a phrase that holds nothing of its password."""
    scheme, _, rest = url.partition("://")
    if not rest or scheme.removesuffix("+sentinel") not in ("redis", "rediss", "unix"):
        raise ValueError(f"must look like {_EXAMPLES}")
    if scheme == "unix+sentinel" or "#" in url:
        raise ValueError(f"must look like {_EXAMPLES}; {_ESCAPES}")
    parts = _split(url)
    is_sentinel = scheme.endswith("+sentinel")
    options = _options(parts.query, is_sentinel=is_sentinel, is_tls=scheme.startswith("rediss"))
    return _sentinel_address(parts, options) if is_sentinel else _address(parts, options)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise ValueError(f"must look like {_EXAMPLES}; {_ESCAPES}") from None


def _options(query: str, *, is_sentinel: bool, is_tls: bool) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    known = _OPTIONS | _LEFT_OUT | frozenset(_SENTINEL_OPTIONS if is_sentinel else ())
    for name in options:
        if name not in known:
            shown = name if re.fullmatch("[a-z_]{1,40}", name) else "that"
            raise ValueError(
                f"has an option that is not known: {shown}; there are {', '.join(sorted(_OPTIONS))}"
            )
    if not is_tls and (tls := next((name for name in options if name.startswith("ssl")), None)):
        raise ValueError(f"has the option {tls}, which needs TLS: rediss://")
    for name, choices in _CHOICES.items():
        if options.get(name, choices[0]) not in choices:
            raise ValueError(f"has an option {name} that is not one of {', '.join(choices)}")
    if not re.fullmatch("[0-9]{1,6}", options.get("db", "0")):
        raise ValueError("has an option db that is not the number of a database")
    return {name: value for name, value in options.items() if name not in _LEFT_OUT}


def _address(parts: SplitResult, options: dict[str, str]) -> RedisAddress:
    if parts.scheme != "unix":
        _host_and_port(parts.netloc.rpartition("@")[2], 6379)
        _require_database(parts.path.removeprefix("/"))
    return RedisAddress(_url(parts.scheme, parts.netloc, parts.path, options), _files(options))


def _sentinel_address(parts: SplitResult, options: dict[str, str]) -> RedisAddress:
    credentials, at, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.removeprefix("/").partition("/")
    if not service:
        raise ValueError("must name the Sentinels' primary, as in redis+sentinel://host,host/name/0")
    _require_database(database)
    sentinels = tuple(_host_and_port(host, _SENTINEL_PORT) for host in hosts.split(","))
    log_in = {
        name.removeprefix("sentinel_"): options.pop(name) for name in _SENTINEL_OPTIONS if name in options
    }
    scheme, netloc = parts.scheme.removesuffix("+sentinel"), f"{credentials}{at}{hosts.split(',')[0]}"
    return RedisAddress(
        url=_url(scheme, netloc, f"/{database}", options),
        files=_files(options),
        service=unquote(service),
        sentinels=sentinels,
        sentinel_log_in=log_in,
    )


def _host_and_port(text: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, 0
    if port == 0 or (text and not host):
        raise ValueError(f"must look like {_EXAMPLES}; {_ESCAPES}")
    return host or "localhost", port or default_port


def _require_database(text: str) -> None:
    if not re.fullmatch("[0-9]{0,6}", text):
        raise ValueError(f"must end in the number of a database, such as /0; {_ESCAPES}")


def _files(options: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(options[name] for name in FILES if name in options)


def _url(scheme: str, netloc: str, path: str, options: Mapping[str, str]) -> str:
    return f"{scheme}://{netloc}{path}" + (f"?{urlencode(options)}" if options else "")
