"""HTTP: load, validate, call one action, respond."""

from flask import Flask

from webhooks_app.views import (
    api,
    audit,
    catalog,
    deliveries,
    delivery,
    endpoints,
    frame,
    health,
    invitations,
    members,
    profile,
    recoveries,
    session,
    settings,
    testing,
    tokens,
    verification,
)


def register(app: Flask) -> None:
    frame.register(app)
    session.register(app)
    api.register(app)
    health.register(app)
    for part, whole in ((verification, endpoints), (testing, endpoints), (delivery, deliveries)):
        assert part.blueprint is whole.blueprint  # which it adds its views to
    for module in (
        *(endpoints, deliveries, recoveries, catalog),
        *(tokens, members, audit, settings, profile, invitations),
    ):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(settings.workspaces_blueprint)
