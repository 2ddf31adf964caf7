"""The application factory."""

import logging
import sys
from typing import Any

from flask import Flask

from webhooks_app import config
from webhooks_app.core.start_errors import StartError
from webhooks_app.db import engines, schema_version
from webhooks_app.db.database_limits import DatabaseLimits, web_limits
from webhooks_app.db.keyset import SearchLimits
from webhooks_app.deliveries.log import search
from webhooks_app.events.group_commit import DEFAULT_LIMITS as DEFAULT_GROUP_LIMITS
from webhooks_app.events.group_commit import GroupLimits
from webhooks_app.extensions import attach_services, csrf, db, login, services
from webhooks_app.jobs.wake_limits import DEFAULT_LIMITS as DEFAULT_WAKE_LIMITS
from webhooks_app.jobs.wake_limits import WakeLimits
from webhooks_app.web import access, blueprints, error_pages, template_filters
from webhooks_app.web.middleware import (
    compression,
    path_prefix,
    request_checks,
    request_deadline,
    request_ids,
    request_origin,
    response_headers,
)
from webhooks_app.web.sign_in import sessions

log = logging.getLogger(__name__)


def create_app(
    settings: config.Settings | None = None,
    *,
    waits_for_disk: bool = True,
    database_limits: DatabaseLimits | None = None,
    wake_limits: WakeLimits = DEFAULT_WAKE_LIMITS,
    group_limits: GroupLimits = DEFAULT_GROUP_LIMITS,
    search_limits: SearchLimits = search.LIMITS,
) -> Flask:
    """Create the web application, with what commands share with it. Raises config.ConfigError.

    The limits are the web's unless others are given.
    """
    settings = settings or config.read()
    database_limits = database_limits or web_limits(settings.web_threads)
    _warn_of_short_lease(settings.lease_seconds)
    app = Flask(
        "webhooks_app",
        template_folder=str(config.ROOT / "templates"),
        static_folder=str(config.ROOT / "static"),
        instance_path=str(settings.instance),
    )
    app.debug = False  # FLASK_DEBUG, left in a shell, would have exceptions end connections without an answer
    app.config.update(_flask_config(settings, database_limits))
    app.config["DOCUMENTS_FOLDER"] = config.ROOT / "site"
    db.init_app(app)
    login.init_app(app)
    with app.app_context():
        engines.prepare(db.engine, waits_for_disk=waits_for_disk, limits=database_limits)
        attach_services(
            app,
            settings,
            db.engine,
            wake_limits=wake_limits,
            group_limits=group_limits,
            search_limits=search_limits,
        )
    if settings.catalog:
        _load_catalog(app)  # as a mistake in it ends each process with its line
    _register_web(app, settings)
    request_deadline.register(app, database_limits.request_seconds)
    return app


def create_serving_app(settings: config.Settings) -> Flask:
    """Create an application with its catalog loaded, so that no request or forked child has to load it."""
    app = create_app(settings)
    _load_catalog(app)
    return app


def _load_catalog(app: Flask) -> object:
    return services(app).catalog  # which is read when it is first asked for


def create_app_or_exit() -> Flask:
    """Create the application, or end the process with one line about an unusable setting or schema."""
    try:
        settings = config.read()
        schema_version.require_by_url(settings.database_url)
        return create_serving_app(settings)
    except StartError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _register_web(app: Flask, settings: config.Settings) -> None:
    """Give the application everything that HTTP sees; nothing is registered by an import."""
    request_ids.register(app, trusted_proxies=settings.trusted_proxies)
    request_checks.register(app, trusted_proxies=settings.trusted_proxies)
    csrf.init_app(app)  # reads the request's form, so it is registered after what refuses whole requests
    request_origin.register(app)
    compression.register(app)
    response_headers.register(app)
    sessions.register(app, login)
    app.url_defaults(access.fill_in_workspace_id)
    template_filters.register(app)
    error_pages.register(app)
    blueprints.register(app, csrf)
    path_prefix.register(app, settings.path_prefix)


def _warn_of_short_lease(seconds: int) -> None:
    if seconds < config.SAFE_LEASE_SECONDS:
        # An endpoint may take 30 seconds to answer, and what outlasts the lease is sent twice.
        log.warning(
            "lease_too_short",
            extra={
                "setting": "WEBHOOKS_LEASE_SECONDS",
                "seconds": seconds,
                "safe_seconds": config.SAFE_LEASE_SECONDS,
            },
        )


def _flask_config(settings: config.Settings, database_limits: DatabaseLimits) -> dict[str, Any]:
    is_https, prefix = settings.base_url.startswith("https://"), settings.path_prefix
    return {
        "SECRET_KEY": settings.secret_key,
        "SQLALCHEMY_DATABASE_URI": settings.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": engines.engine_options(settings.database_url, database_limits),
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": is_https,
        "COOKIE_NAME_PREFIX": (cookie_prefix := _cookie_prefix(is_https=is_https, path=prefix)),
        "SESSION_COOKIE_NAME": cookie_prefix + "session",
        "SESSION_COOKIE_PATH": prefix or "/",  # other applications of that host do not see it
        "WTF_CSRF_TIME_LIMIT": None,  # a form left open overnight still submits
        "MAX_CONTENT_LENGTH": 4 * 1024 * 1024,
    }


def _cookie_prefix(*, is_https: bool, path: str) -> str:
    """Return what a browser checks a cookie by; `__Host-` demands the path `/` (RFC 6265bis, 4.1.3)."""
    if not is_https:
        return ""
    return "__Secure-" if path else "__Host-"
