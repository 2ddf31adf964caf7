"""`config`: every setting as it is in force, without what is secret."""

import json
import os
from collections.abc import Callable

import click
from sqlalchemy import make_url

from webhooks_app import config as settings_module
from webhooks_app.config import Settings
from webhooks_app.core import instance_folder
from webhooks_app.core.oidc_settings import OidcSettings
from webhooks_app.core.text_display import MASK
from webhooks_app.core.url_masking import mask_url
from webhooks_app.jobs.process import exit_on_start_error

_OIDC: dict[str, Callable[[OidcSettings], object]] = {
    "ISSUER": lambda oidc: oidc.issuer,
    "CLIENT_ID": lambda oidc: oidc.client_id,
    "CLIENT_SECRET": lambda oidc: _secret(oidc.client_secret),
    "CLIENT_SECRET_FILE": lambda _: os.environ.get("WEBHOOKS_OIDC_CLIENT_SECRET_FILE"),
    "NAME": lambda oidc: oidc.name,
    "SCOPES": lambda oidc: oidc.scopes,
    "GROUPS_CLAIM": lambda oidc: oidc.groups_claim,
    "GROUPS": lambda oidc: ";".join(f"{each.group}={each.workspace_id}:{each.role}" for each in oidc.grants),
    "LINK_BY_EMAIL": lambda oidc: int(oidc.links_by_email),
    "TRUST_EMAIL": lambda oidc: int(oidc.trusts_email),
}
# In the order of the README's table.
_VALUES: dict[str, Callable[[Settings], object]] = {
    "DATABASE_URL": lambda settings: make_url(settings.database_url).render_as_string(),
    "REDIS_URL": lambda settings: _without_password(settings.redis_url),
    "SECRET_KEY": lambda settings: _secret(settings.secret_key),
    "WEBHOOKS_ENCRYPTION_KEYS": lambda settings: ",".join([MASK] * len(settings.encryption_keys)),
    "WEBHOOKS_HOST": lambda settings: settings.host,
    "HOST": lambda settings: settings.host,
    "PORT": lambda settings: settings.port,
    "WEBHOOKS_BASE_URL": lambda settings: settings.base_url,
    "WEBHOOKS_TRUSTED_PROXIES": lambda settings: settings.trusted_proxies,
    "WEBHOOKS_INSTANCE": lambda settings: settings.instance,
    "WEBHOOKS_WORKERS": lambda settings: settings.workers,
    "WEBHOOKS_WEB_PROCESSES": lambda settings: settings.web_processes,
    "WEBHOOKS_WEB_THREADS": lambda settings: settings.web_threads,
    "WEBHOOKS_IN_FLIGHT": lambda settings: settings.in_flight,
    "WEBHOOKS_LEASE_SECONDS": lambda settings: settings.lease_seconds,
    "WEBHOOKS_RETRY_DELAYS": lambda settings: ",".join(f"{each:g}" for each in settings.retry_delays),
    "WEBHOOKS_AUTO_DISABLE_DAYS": lambda settings: f"{settings.auto_disable_after.total_seconds() / 86400:g}",
    "WEBHOOKS_ALLOW_HTTP": lambda settings: int(settings.targets.allow_http),
    "WEBHOOKS_ALLOWED_TARGETS": lambda settings: _allowed(settings),
    "WEBHOOKS_DENIED_PORTS": lambda settings: ",".join(map(str, sorted(settings.targets.denied_ports))),
    "WEBHOOKS_CA_BUNDLE": lambda settings: settings.ca_bundle,
    "WEBHOOKS_CATALOG": lambda settings: settings.catalog,
    "WEBHOOKS_TOKEN_RATE": lambda settings: settings.token_rate and settings.token_rate.per_second,
    "WEBHOOKS_TOKEN_BURST": lambda settings: settings.token_rate and settings.token_rate.burst,
    "WEBHOOKS_SMTP_URL": lambda settings: _mail_server(settings),
    "WEBHOOKS_MAIL_FROM": lambda settings: settings.mail_server and settings.mail_server.sender,
    "WEBHOOKS_METRICS_TOKEN": lambda settings: _secret(settings.metrics_token),
    "WEBHOOKS_METRICS_LISTEN": lambda settings: _host_and_port(settings.metrics_listen),
    "WEBHOOKS_OPERATORS": lambda settings: ",".join(sorted(settings.operators)),
    "WEBHOOKS_DRAIN_SECONDS": lambda settings: settings.drain_seconds,
    "WEBHOOKS_REQUIRE_SECOND_FACTOR": lambda settings: int(settings.requires_second_factor),
    "WEBHOOKS_PASSWORD_LOG_IN": lambda settings: int(settings.password_log_in),
    **{
        f"WEBHOOKS_OIDC_{name}": lambda settings, show=show: settings.oidc and show(settings.oidc)  # type: ignore[misc]
        for name, show in _OIDC.items()
    },
    "WEBHOOKS_LOG_LEVEL": lambda settings: settings.log_level,
    "WEBHOOKS_LOG_FORMAT": lambda settings: settings.log_format,
    "WEBHOOKS_ACCESS_LOG": lambda settings: int(settings.access_log),
}


@click.command()
@click.option("--json", "is_json", is_flag=True, help="For programs: one JSON object.")
def config(is_json: bool) -> None:
    """Show every setting as it is in force here.

    With where it comes from, and without what is secret.
    """
    with exit_on_start_error():
        settings = settings_module.read(begins=False)
    values = {name: value(settings) for name, value in _VALUES.items()}
    if is_json:
        click.echo(json.dumps({name: _text(value) for name, value in values.items()}, indent=2))
        return
    width = max(map(len, values))
    for name, value in values.items():
        origin = "" if os.environ.get(name) else "  (default)"
        click.echo(f"{name.ljust(width)}  {_text(value) or '–'}{origin}")
    for warning in settings.warnings:
        click.echo(f"warning: {warning}", err=True)
    if settings.embedded_database and not instance_folder.has_database(settings.instance):
        click.echo(f"No platform is in {settings.instance} yet; its first run makes the keys.", err=True)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _host_and_port(address: tuple[str, int] | None) -> str | None:
    if address is None:
        return None
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _secret(value: str | None) -> str | None:
    return f"{MASK} ({len(value)} characters)" if value else None


def _without_password(url: str) -> str:
    return url if url.startswith("unix://") else mask_url(url)


def _allowed(settings: Settings) -> str:
    hosts = (
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        for host, port in settings.targets.allowed_hosts
    )
    return ",".join([*map(str, settings.targets.allowed_networks), *sorted(hosts)])


def _mail_server(settings: Settings) -> str | None:
    server = settings.mail_server
    if server is None:
        return None
    user = f"{MASK}@" if server.user else ""
    return f"{'smtps' if server.is_smtps else 'smtp'}://{user}{server.host}:{server.port}"
