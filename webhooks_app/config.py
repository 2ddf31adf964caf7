"""Settings: read from the environment once, at start, and from nowhere else.

`read()` either returns a complete `Settings` or raises `ConfigError` with one line that says what to change.
The README's table of settings is checked against `NAMES` by a test.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from webhooks_app.core import (
    instance_folder,
    instance_settings,
    listening_host,
    mail_settings,
    oidc_settings,
    service_variables,
    setting_files,
    setting_values,
)
from webhooks_app.core.instance_settings import Instance
from webhooks_app.core.oidc_settings import OidcSettings
from webhooks_app.core.rate_limit import RateLimit
from webhooks_app.core.retry_schedule import DEFAULT_DELAYS
from webhooks_app.core.setting_values import ConfigError as ConfigError  # what this module raises
from webhooks_app.core.setting_values import number
from webhooks_app.db import database_url
from webhooks_app.transport import target_settings
from webhooks_app.transport.target_policy import TargetPolicy

if TYPE_CHECKING:
    from webhooks_app.core.mail import MailServer

PACKAGE = Path(__file__).resolve().parent
# A wheel holds `templates`, `static` and `examples` inside the package; a checkout has them beside it.
IS_INSTALLED = (PACKAGE / "templates").is_dir()
ROOT = PACKAGE if IS_INSTALLED else PACKAGE.parent
# Below the current folder, when it is relative.
DEFAULT_INSTANCE = Path("instance") if IS_INSTALLED else ROOT / "instance"
PREFIX = "WEBHOOKS_"
SHARED_NAMES = frozenset({"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "HOST", "PORT"})
OWN_NAMES = frozenset(
    PREFIX + name
    for name in (
        *("HOST", "INSTANCE", "ENCRYPTION_KEYS", "WORKERS", "WEB_PROCESSES", "WEB_THREADS", "IN_FLIGHT"),
        *("LEASE_SECONDS", "RETRY_DELAYS", "AUTO_DISABLE_DAYS", "ALLOW_HTTP", "ALLOWED_TARGETS"),
        *("DENIED_PORTS", "CA_BUNDLE", "TRUSTED_PROXIES", "BASE_URL", "SMTP_URL", "MAIL_FROM", "LOG_LEVEL"),
        *("METRICS_TOKEN", "OPERATORS", "DRAIN_SECONDS", "CATALOG", "LOG_FORMAT", "ACCESS_LOG"),
        *("REQUIRE_SECOND_FACTOR", "PASSWORD_LOG_IN", "OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"),
        *("OIDC_CLIENT_SECRET_FILE", "OIDC_NAME", "OIDC_SCOPES", "OIDC_GROUPS_CLAIM", "OIDC_GROUPS"),
        *("OIDC_LINK_BY_EMAIL", "OIDC_TRUST_EMAIL"),
        *("TOKEN_RATE", "TOKEN_BURST", "METRICS_LISTEN"),
    )
)
NAMES = SHARED_NAMES | OWN_NAMES
# More than the longest endpoint time-out (30 s) and what recording may take under load: what takes longer
# than its lease is sent twice. The setting may go below, for tests whose endpoints have short time-outs.
SAFE_LEASE_SECONDS = 45
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


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
    web_processes: int
    web_threads: int
    in_flight: int
    lease_seconds: int
    retry_delays: tuple[float, ...]
    auto_disable_after: timedelta
    targets: TargetPolicy
    ca_bundle: str | None
    catalog: Path | None  # a file or folder of event types; None: the built-in ones
    token_rate: RateLimit | None  # of API tokens that have none of their own
    trusted_proxies: int
    base_url: str
    mail_server: "MailServer | None"
    log_level: str
    log_format: str
    access_log: bool
    metrics_token: str | None  # None: nobody is given metrics
    metrics_listen: tuple[str, int] | None  # None: on the web's port only
    operators: frozenset[str]  # e-mail addresses
    drain_seconds: int
    requires_second_factor: bool
    password_log_in: bool
    oidc: OidcSettings | None  # None: no single sign-on
    embedded_database: bool
    embedded_redis: bool
    warnings: tuple[str, ...]  # sentences for whoever starts it

    @property
    def redis_socket(self) -> Path:
        return Path(unquote(self.redis_url.removeprefix("unix://")))

    @property
    def path_prefix(self) -> str:
        """What stands before each path of the console, such as `/webhooks`; usually nothing."""
        return urlsplit(self.base_url).path

    @property
    def bind(self) -> str:
        """The web's address and port, as people write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_existing() -> Settings:
    """Return the settings of the process's environment. Raises ConfigError, also where no platform exists."""
    settings = read(begins=False)
    if settings.embedded_database and not instance_folder.has_database(settings.instance):
        raise ConfigError(
            f"There is no platform in {settings.instance} (WEBHOOKS_INSTANCE). Where `avra run` was started "
            "in another folder, go there or set WEBHOOKS_INSTANCE; to begin a new one here, `avra run`."
        )
    return settings


def read(environ: Mapping[str, str] | None = None, *, begins: bool = True) -> Settings:
    """Return the settings from `environ` (default: the process's environment). Raises ConfigError.

    The embedded set-up's folder and secrets are made where there are none; without `begins`, nothing is
    written before there is a database, and secrets that the first run will make are others each time.
    """
    env = {name: value for name, value in (os.environ if environ is None else environ).items() if value != ""}
    _refuse_unknown(env)
    instance = instance_settings.read(env, DEFAULT_INSTANCE, begins=begins)
    return _settings(env, instance, _addresses(env))


@dataclass(frozen=True, slots=True)
class _Addresses:
    host: str
    port: int
    base_url: str
    metrics_listen: tuple[str, int] | None
    warnings: list[str]


def _addresses(env: Mapping[str, str]) -> _Addresses:
    """Return where the web listens, and what people call it."""
    port = number(env, "PORT", 8000, 1, 65535)
    host, warnings = listening_host.read(env)
    return _Addresses(
        host, port, _base_url(env, host, port), listening_host.read_metrics(env, port), warnings
    )


def _settings(env: Mapping[str, str], instance: Instance, web: _Addresses) -> Settings:
    return Settings(
        instance=instance.folder,
        database_url=_database_url(env, instance),
        redis_url=_redis_url(env, instance.folder),
        secret_key=instance_settings.secret_key(env, instance),
        encryption_keys=instance_settings.encryption_keys(env, instance),
        host=web.host,
        port=web.port,
        workers=number(env, "WEBHOOKS_WORKERS", 1, 1, 64),
        web_processes=number(env, "WEBHOOKS_WEB_PROCESSES", 1, 1, 64),
        web_threads=number(env, "WEBHOOKS_WEB_THREADS", 8, 1, 256),
        in_flight=number(env, "WEBHOOKS_IN_FLIGHT", 400, 1, 2000),
        lease_seconds=number(env, "WEBHOOKS_LEASE_SECONDS", 60, 1, 3600),
        retry_delays=setting_values.delays(env, "WEBHOOKS_RETRY_DELAYS", DEFAULT_DELAYS),
        auto_disable_after=setting_values.days(env, "WEBHOOKS_AUTO_DISABLE_DAYS", "5"),
        targets=target_settings.read(
            env, host=web.host, port=web.port, base_url=web.base_url, beside=web.metrics_listen
        ),
        ca_bundle=setting_files.certificates(env, "WEBHOOKS_CA_BUNDLE"),
        catalog=setting_files.existing_path(env, "WEBHOOKS_CATALOG"),
        token_rate=setting_values.rate_limit(env, "WEBHOOKS_TOKEN_RATE", "WEBHOOKS_TOKEN_BURST"),
        trusted_proxies=number(env, "WEBHOOKS_TRUSTED_PROXIES", 0, 0, 10),
        base_url=web.base_url,
        mail_server=mail_settings.read(env),
        log_level=setting_values.one_of(env, "WEBHOOKS_LOG_LEVEL", "INFO", _LOG_LEVELS),
        log_format=setting_values.one_of(env, "WEBHOOKS_LOG_FORMAT", "text", ("text", "json")),
        access_log=setting_values.flag(env, "WEBHOOKS_ACCESS_LOG"),
        metrics_token=setting_values.token(env, "WEBHOOKS_METRICS_TOKEN"),
        metrics_listen=web.metrics_listen,
        operators=setting_values.addresses(env, "WEBHOOKS_OPERATORS"),
        drain_seconds=number(env, "WEBHOOKS_DRAIN_SECONDS", 0, 0, 300),
        requires_second_factor=setting_values.flag(env, "WEBHOOKS_REQUIRE_SECOND_FACTOR"),
        password_log_in=_password_log_in(env),
        oidc=oidc_settings.read(env),
        embedded_database=instance.is_embedded,
        embedded_redis="REDIS_URL" not in env,
        warnings=(*instance.warnings, *web.warnings),
    )


def _refuse_unknown(env: Mapping[str, str]) -> None:
    known = OWN_NAMES | service_variables.names_set_by_cluster(env, PREFIX)
    unknown = sorted(name for name in env if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise ConfigError(f"{unknown[0]} is not a setting; the README's table lists those there are.")


def _database_url(env: Mapping[str, str], instance: Instance) -> str:
    own = database_url.of_file(instance_folder.database_file(instance.folder))
    return database_url.parse("DATABASE_URL", env.get("DATABASE_URL", own)) if instance.keeps else own


def _redis_url(env: Mapping[str, str], instance: Path) -> str:
    url = env.get("REDIS_URL")
    if url is None:
        return instance_folder.redis_url(instance)
    for path in setting_values.redis_address("REDIS_URL", url).files:
        setting_files.require("REDIS_URL", path)
    return url


def _password_log_in(env: Mapping[str, str]) -> bool:
    is_on = setting_values.one_of(env, "WEBHOOKS_PASSWORD_LOG_IN", "1", ("0", "1")) == "1"
    if not is_on and "WEBHOOKS_OIDC_ISSUER" not in env:
        raise ConfigError("WEBHOOKS_PASSWORD_LOG_IN is 0 without WEBHOOKS_OIDC_ISSUER: nobody could log in.")
    return is_on


def _base_url(env: Mapping[str, str], host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return setting_values.console_url(env, "WEBHOOKS_BASE_URL", f"http://{name}:{port}")
