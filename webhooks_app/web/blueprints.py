"""Every blueprint of the web application, registered in one place."""

from flask import Flask

from webhooks_app.web import (
    audit_page,
    catalog_page,
    delivery_log_page,
    delivery_page,
    endpoint_pages,
    endpoint_test_page,
    health_checks,
    invitation_page,
    layout,
    log_in_page,
    members_page,
    profile_page,
    recovery_pages,
    settings_page,
    tokens_page,
    verify_page,
)
from webhooks_app.web.api import producer


def register(app: Flask) -> None:
    layout.register(app)
    log_in_page.register(app)
    producer.register(app)
    health_checks.register(app)
    for part, whole in (
        (verify_page, endpoint_pages),
        (endpoint_test_page, endpoint_pages),
        (delivery_page, delivery_log_page),
    ):
        assert part.blueprint is whole.blueprint  # which it adds its views to
    for module in (
        *(endpoint_pages, delivery_log_page, recovery_pages, catalog_page),
        *(tokens_page, members_page, audit_page, settings_page, profile_page, invitation_page),
    ):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(settings_page.workspaces_blueprint)
