"""Settings: read from the environment once, at start, and from nowhere else.

`read()` either returns a complete `Settings` or raises `ConfigError` with one line that says what to change.
The README's table of settings is checked against `NAMES` by a test.
"""

import contextlib
import hashlib
import ipaddress
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from cryptography.fernet import Fernet

from webhooks_app.core import mail
from webhooks_app.core.retry_schedule import DEFAULT_DELAYS
from webhooks_app.transport import local_addresses
from webhooks_app.transport.address_rules import is_address
from webhooks_app.transport.allow_list import parse_allow_list
from webhooks_app.transport.host_names import TargetRefused, canonical_host
from webhooks_app.transport.target_policy import HostPorts, TargetPolicy
from webhooks_app.transport.target_ports import DEFAULT_PORTS

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "WEBHOOKS_"
SHARED_NAMES = frozenset({"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "HOST", "PORT"})
OWN_NAMES = frozenset(
    PREFIX + name
    for name in (
        "INSTANCE",
        "ENCRYPTION_KEYS",
        "WORKERS",
        "WEB_THREADS",
        "IN_FLIGHT",
        "LEASE_SECONDS",
        "RETRY_DELAYS",
        "AUTO_DISABLE_DAYS",
        "ALLOW_HTTP",
        "ALLOWED_TARGETS",
        "DENIED_PORTS",
        "CA_BUNDLE",
        "TRUSTED_PROXIES",
        "BASE_URL",
        "SMTP_URL",
        "MAIL_FROM",
        "LOG_LEVEL",
    )
)
NAMES = SHARED_NAMES | OWN_NAMES
# The address of a unix socket holds 104 bytes on macOS and 108 on Linux, its closing zero included.
LONGEST_SOCKET_PATH = 103
# More than the longest endpoint time-out (30 s) and what recording may take under load: what takes longer
# than its lease is sent twice. The setting may go below, for tests whose endpoints have short time-outs.
SAFE_LEASE_SECONDS = 45

_EVERYWHERE = "0.0.0.0"  # noqa: S104  compared, not bound
_FERNET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


class ConfigError(Exception):
    """A setting that cannot be used; the message is the one line to show."""


@dataclass(frozen=True)
class Settings:
    instance: Path
    database_url: str
    redis_url: str
    secret_key: str
    encryption_keys: tuple[str, ...]
    host: str
    port: int
    workers: int
    web_threads: int
    in_flight: int
    lease_seconds: int
    retry_delays: tuple[float, ...]
    auto_disable_after: timedelta
    targets: TargetPolicy
    ca_bundle: str | None
    trusted_proxies: int
    base_url: str
    mail_server: mail.MailServer | None
    log_level: str
    embedded_database: bool
    embedded_redis: bool

    @property
    def redis_socket(self) -> Path:
        return Path(unquote(self.redis_url.removeprefix("unix://")))

    @property
    def bind(self) -> str:
        """The web's listener as gunicorn wants it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `environ` (default: the process's). Raises ConfigError."""
    env = {name: value for name, value in (os.environ if environ is None else environ).items() if value != ""}
    _refuse_unknown(env)
    instance = Path(env.get("WEBHOOKS_INSTANCE", str(ROOT / "instance"))).absolute()
    embedded_database = "DATABASE_URL" not in env
    if embedded_database:
        ensure_writable(instance)
    port = _number(env, "PORT", 8000, 1, 65535)
    host = _host(env)
    base_url = _base_url(env, host, port)
    return Settings(
        instance=instance,
        database_url=_database_url(env, instance),
        redis_url=_redis_url(env, instance),
        secret_key=_secret_key(env, instance, embedded_database),
        encryption_keys=_encryption_keys(env, instance, embedded_database),
        host=host,
        port=port,
        workers=_number(env, "WEBHOOKS_WORKERS", 1, 1, 64),
        web_threads=_number(env, "WEBHOOKS_WEB_THREADS", 8, 1, 256),
        in_flight=_number(env, "WEBHOOKS_IN_FLIGHT", 400, 1, 2000),
        lease_seconds=_number(env, "WEBHOOKS_LEASE_SECONDS", 60, 1, 3600),
        retry_delays=_retry_delays(env),
        auto_disable_after=_days(env, "WEBHOOKS_AUTO_DISABLE_DAYS", "5"),
        targets=_targets(env, _own_listeners(host, port, base_url)),
        ca_bundle=_existing_file(env, "WEBHOOKS_CA_BUNDLE"),
        trusted_proxies=_number(env, "WEBHOOKS_TRUSTED_PROXIES", 0, 0, 10),
        base_url=base_url,
        mail_server=_mail_server(env),
        log_level=_one_of(env, "WEBHOOKS_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
        embedded_database=embedded_database,
        embedded_redis="REDIS_URL" not in env,
    )


def _refuse_unknown(env: Mapping[str, str]) -> None:
    unknown = sorted(name for name in env if name.startswith(PREFIX) and name not in OWN_NAMES)
    if unknown:
        raise ConfigError(f"{unknown[0]} is not a setting; the README's table lists those there are.")


def ensure_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"The folder {str(folder)!r} cannot be written ({reason}); set WEBHOOKS_INSTANCE to another."
        ) from None


def _database_url(env: Mapping[str, str], instance: Path) -> str:
    url = env.get("DATABASE_URL")
    if url is None:
        return f"sqlite:///{instance / 'webhooks.db'}"
    scheme, separator, rest = url.partition("://")
    if scheme in ("postgres", "postgresql", "postgresql+psycopg") and separator and _has_good_port(url):
        return f"postgresql+psycopg://{rest}"
    if scheme == "sqlite" and rest.startswith("/") and rest not in ("/", "/:memory:"):
        return url
    raise ConfigError(
        "DATABASE_URL must look like postgresql://user:password@host/name or sqlite:////path/file.db."
    )


def _redis_url(env: Mapping[str, str], instance: Path) -> str:
    url = env.get("REDIS_URL")
    if url is None:
        return f"unix://{quote(str(_socket_path(instance)))}"
    scheme, _, rest = url.partition("://")
    if scheme not in ("redis", "rediss", "unix") or not rest or not _has_good_port(url):
        raise ConfigError(
            "REDIS_URL must look like redis://host:6379/0, rediss://… or unix:///path/to/socket."
        )
    return url


def _has_good_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _socket_path(instance: Path) -> Path:
    """The embedded Redis's socket: in the instance folder, or where the path there is too long for one."""
    path = instance / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(instance)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"avra-{os.getuid()}-{digest}" / "redis.sock"


def _secret_key(env: Mapping[str, str], instance: Path, embedded: bool) -> str:
    key = env.get("SECRET_KEY") or _generated(
        "SECRET_KEY", instance / "secret_key", embedded, secrets.token_urlsafe
    )
    if len(key) < 32:
        raise ConfigError("SECRET_KEY must have at least 32 characters.")
    return key


def _encryption_keys(env: Mapping[str, str], instance: Path, embedded: bool) -> tuple[str, ...]:
    name = "WEBHOOKS_ENCRYPTION_KEYS"
    text = env.get(name) or _generated(
        name, instance / "encryption_keys", embedded, lambda: Fernet.generate_key().decode()
    )
    keys = tuple(key.strip() for key in text.split(",") if key.strip())
    if not keys:
        raise ConfigError(f"{name} holds no key.")
    for position, key in enumerate(keys, start=1):
        if not _FERNET_KEY.fullmatch(key):
            raise ConfigError(f"{name}: key {position} is not a Fernet key (32 bytes, url-safe base64).")
    return keys


def _generated(name: str, path: Path, embedded: bool, make: Callable[[], str]) -> str:
    """A secret kept in a file of the embedded set-up; made on its first run, demanded of any other."""
    if not embedded:
        raise ConfigError(f"{name} must be set when DATABASE_URL is.")
    if not path.exists() or path.stat().st_size == 0:
        _write_once(path, make())
    return path.read_text().strip()


def _write_once(path: Path, text: str) -> None:
    """The file appears with its content or not at all; of two processes at once, the first one's counts."""
    draft = path.with_name(f".{path.name}-{os.getpid()}-{threading.get_ident()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    if path.exists() and path.stat().st_size == 0:  # left by a crash
        draft.replace(path)
        return
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()


def _retry_delays(env: Mapping[str, str]) -> tuple[float, ...]:
    text = env.get("WEBHOOKS_RETRY_DELAYS")
    if text is None:
        return DEFAULT_DELAYS
    try:
        delays = tuple(float(part) for part in text.split(","))
    except ValueError:
        delays = ()
    if not delays or not all(0 < delay <= 30 * 86_400 for delay in delays) or len(delays) > 50:
        raise ConfigError(
            "WEBHOOKS_RETRY_DELAYS must be 1 to 50 seconds figures separated by commas, such as 5,300,1800."
        )
    return delays


def _targets(env: Mapping[str, str], own_listeners: HostPorts) -> TargetPolicy:
    try:
        networks, hosts = parse_allow_list(env.get("WEBHOOKS_ALLOWED_TARGETS", ""))
    except ValueError as error:
        raise ConfigError(f"WEBHOOKS_ALLOWED_TARGETS: {error}") from None
    options: dict[str, frozenset[int]] = {}
    if "WEBHOOKS_DENIED_PORTS" in env:
        options["denied_ports"] = _ports(env["WEBHOOKS_DENIED_PORTS"])
    return TargetPolicy(
        allow_http=_flag(env, "WEBHOOKS_ALLOW_HTTP"),
        allowed_networks=networks,
        allowed_hosts=hosts,
        own_listeners=own_listeners,
        is_own_address=local_addresses.is_own_address,
        **options,
    )


def _own_listeners(host: str, port: int, base_url: str) -> HostPorts:
    """Where the web listens and where it is reached from outside."""
    console = urlsplit(base_url)
    own = {
        (_canonical("HOST", host), port),
        (
            _canonical("WEBHOOKS_BASE_URL", console.hostname or ""),
            console.port or DEFAULT_PORTS[console.scheme],
        ),
    }
    # A name may stand for any of the machine's addresses.
    return frozenset(own if is_address(host) or host == "localhost" else own | {(_EVERYWHERE, port)})


def _canonical(setting: str, host: str) -> str:
    try:
        return canonical_host(host)
    except TargetRefused as error:
        raise ConfigError(f"{setting}: {error}") from None


def _ports(text: str) -> frozenset[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(_is_number(part) and 0 < int(part) < 65536 for part in parts):
        raise ConfigError("WEBHOOKS_DENIED_PORTS must be port numbers separated by commas.")
    return frozenset(int(part) for part in parts)


def _base_url(env: Mapping[str, str], host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    url = env.get("WEBHOOKS_BASE_URL", f"http://{name}:{port}").rstrip("/")
    is_address = _has_good_port(url) and urlsplit(url).hostname
    if not is_address or urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(
            "WEBHOOKS_BASE_URL must be the console's address, such as https://webhooks.example.com."
        )
    return url


def _mail_server(env: Mapping[str, str]) -> mail.MailServer | None:
    """Where announcements go out; None where nobody set it up."""
    if "WEBHOOKS_SMTP_URL" not in env and "WEBHOOKS_MAIL_FROM" not in env:
        return None
    for name, other in (("SMTP_URL", "MAIL_FROM"), ("MAIL_FROM", "SMTP_URL")):
        if PREFIX + name not in env:
            raise ConfigError(f"WEBHOOKS_{name} must be set when WEBHOOKS_{other} is.")
    try:
        mail.parse_address(env["WEBHOOKS_MAIL_FROM"])
    except ValueError:
        raise ConfigError(
            "WEBHOOKS_MAIL_FROM must be an e-mail address, such as webhooks@example.com."
        ) from None
    try:
        server = mail.parse_server_url(
            env["WEBHOOKS_SMTP_URL"], env["WEBHOOKS_MAIL_FROM"], _existing_file(env, "WEBHOOKS_CA_BUNDLE")
        )
    except ValueError:
        raise ConfigError(
            "WEBHOOKS_SMTP_URL must look like smtp://user:password@mail.example.com:587 or smtps://…"
        ) from None
    if not server.has_ascii_log_in:
        raise ConfigError("WEBHOOKS_SMTP_URL must name a user and a password of ASCII characters only.")
    return server


def _days(env: Mapping[str, str], name: str, default: str) -> timedelta:
    text = env.get(name, default)
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", text) or float(text) > 365:
        raise ConfigError(f"{name} must be a number of days from 0 (never) to 365, not {text[:40]!r}.")
    return timedelta(days=float(text))


def _existing_file(env: Mapping[str, str], name: str) -> str | None:
    path = env.get(name)
    if path is not None and not Path(path).is_file():
        raise ConfigError(f"{name} names a file that is not there: {path!r}")
    return path


def _number(env: Mapping[str, str], name: str, default: int, lowest: int, highest: int) -> int:
    text = env.get(name, str(default))
    if not _is_number(text) or not lowest <= int(text) <= highest:
        raise ConfigError(f"{name} must be a whole number from {lowest} to {highest}, not {text[:40]!r}.")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 12


def _host(env: Mapping[str, str]) -> str:
    """A host name or an address to listen on, without brackets."""
    host = env.get("HOST", "127.0.0.1")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not _HOST_NAME.fullmatch(host):
            raise ConfigError(f"HOST must be a host name or an IP address, not {host[:80]!r}.") from None
    return host


def _flag(env: Mapping[str, str], name: str) -> bool:
    return _one_of(env, name, "0", ("0", "1")) == "1"


def _one_of(env: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    value = env.get(name, default)
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value
