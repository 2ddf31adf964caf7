"""HTTP: load, validate, call one action, respond."""

from flask import Flask

from webhooks_app.views import (
    api,
    catalog,
    deliveries,
    delivery,
    endpoints,
    frame,
    health,
    session,
    testing,
    verification,
)


def register(app: Flask) -> None:
    frame.register(app)
    session.register(app)
    api.register(app)
    health.register(app)
    for part, whole in ((verification, endpoints), (testing, endpoints), (delivery, deliveries)):
        assert part.blueprint is whole.blueprint  # which it adds its views to
    for module in (endpoints, deliveries, catalog):
        app.register_blueprint(module.blueprint)
