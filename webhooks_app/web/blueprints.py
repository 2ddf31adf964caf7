"""Every blueprint of the web application, with the modules whose views it holds.

A blueprint is an area of the console: an entry of the side navigation, a prefix of URLs, the first part of
the names that `url_for` takes. Its pages may fill several modules, so no module owns it: each has a function
`add_routes`, which lists the module's URLs, and this one says which area they belong to. Nothing is
registered by being imported.
"""

from collections.abc import Callable

from flask import Blueprint, Flask
from flask_wtf import CSRFProtect

from webhooks_app.web import (
    api_reference_page,
    attempt_comparison_page,
    audit_page,
    catalog_page,
    delivery_actions,
    delivery_export,
    delivery_log_page,
    delivery_log_updates,
    delivery_page,
    endpoint_actions,
    endpoint_choice,
    endpoint_form_pages,
    endpoint_list_page,
    endpoint_live,
    endpoint_overview_page,
    endpoint_test_page,
    find_page,
    health_checks,
    incident_actions,
    members_page,
    new_workspace_page,
    operations_page,
    payload_erasure_form,
    profile_page,
    recovery_pages,
    saved_filters_page,
    settings_page,
    signed_deliveries,
    tokens_page,
    traffic_page,
    verify_page,
)
from webhooks_app.web.access import OWN_ACCOUNT, WEBHOOKS, WORKSPACE, workspace_blueprint
from webhooks_app.web.api import authentication, document, errors, operations, producer
from webhooks_app.web.api.all_operations import OPERATIONS
from webhooks_app.web.documents import documents_page
from webhooks_app.web.sign_in import (
    invitation_page,
    log_in_link_page,
    log_in_page,
    passkey_pages,
    password_reset_pages,
    second_factor_page,
    second_factor_setup_page,
    single_sign_on_page,
)

AddRoutes = Callable[[Blueprint], None]

# Name, prefix, and who adds to it. Members of the workspace alone get there.
WORKSPACE_AREAS: tuple[tuple[str, str, tuple[AddRoutes, ...]], ...] = (
    (
        "endpoints",
        WEBHOOKS,
        (
            endpoint_list_page.add_routes,
            endpoint_form_pages.add_routes,
            endpoint_overview_page.add_routes,
            endpoint_live.add_routes,
            endpoint_choice.add_routes,
            incident_actions.add_routes,
            endpoint_actions.add_routes,
            endpoint_test_page.add_routes,
            verify_page.add_routes,
            delivery_log_page.add_endpoint_routes,
        ),
    ),
    (
        "deliveries",
        WEBHOOKS + "/deliveries",
        (
            delivery_log_page.add_routes,
            delivery_log_updates.add_routes,
            delivery_export.add_routes,
            delivery_page.add_routes,
            attempt_comparison_page.add_routes,
            delivery_actions.add_routes,
            saved_filters_page.add_routes,
            signed_deliveries.add_routes,
            payload_erasure_form.add_routes,
        ),
    ),
    ("traffic", WEBHOOKS + "/traffic", (traffic_page.add_routes,)),
    ("recoveries", WEBHOOKS + "/recoveries", (recovery_pages.add_routes,)),
    ("catalog", WEBHOOKS + "/catalog", (catalog_page.add_routes,)),
    ("tokens", WORKSPACE + "/tokens", (tokens_page.add_routes,)),
    ("api_reference", WORKSPACE + "/api", (api_reference_page.add_routes,)),
    ("members", WORKSPACE + "/members", (members_page.add_routes,)),
    ("audit", WORKSPACE + "/audit", (audit_page.add_routes,)),
    ("find", WORKSPACE + "/find", (find_page.add_routes,)),
    ("settings", WORKSPACE + "/settings", (settings_page.add_routes,)),
    ("operations", WORKSPACE + "/operations", (operations_page.add_routes,)),
    (
        OWN_ACCOUNT,
        WORKSPACE + "/profile",
        (
            profile_page.add_routes,
            second_factor_setup_page.add_routes,
            single_sign_on_page.add_profile_routes,
            passkey_pages.add_profile_routes,
        ),
    ),
)
# Whoever has the link, an account or no log-in at all.
OTHER_AREAS: tuple[tuple[str, str | None, *tuple[AddRoutes, ...]], ...] = (
    (
        "session",
        None,
        log_in_page.add_routes,
        second_factor_page.add_routes,
        single_sign_on_page.add_routes,
        log_in_link_page.add_routes,
        passkey_pages.add_routes,
    ),
    ("workspaces", "/workspaces", new_workspace_page.add_routes),
    ("invitations", "/invitations", invitation_page.add_routes),
    ("password_resets", "/password-reset", password_reset_pages.add_routes),
    ("health", None, health_checks.add_routes),
    ("api_document", "/api/v1", document.add_routes),
    ("documents", "/docs", documents_page.add_routes),
)


def register(app: Flask, csrf: CSRFProtect) -> None:
    # A redirect to the path with one slash would send a program on with a page, and change a name in it.
    app.url_map.merge_slashes = False
    for name, prefix, modules in WORKSPACE_AREAS:
        blueprint = workspace_blueprint(name, prefix)
        for add_routes in modules:
            add_routes(blueprint)
        app.register_blueprint(blueprint)
    for name, other_prefix, *others in OTHER_AREAS:
        blueprint = Blueprint(name, __name__, url_prefix=other_prefix)
        for add_routes in others:
            add_routes(blueprint)
        app.register_blueprint(blueprint)
    # A grant is in the body of what is sent there, which no browser adds by itself.
    grants = Blueprint("signed_deliveries", __name__)
    signed_deliveries.add_open_routes(grants)
    csrf.exempt(grants)
    app.register_blueprint(grants)
    app.url_map.converters["public_id"] = operations.PublicIdConverter
    app.url_map.converters["name"] = operations.NameConverter
    app.register_blueprint(_producer_api(csrf))


def _producer_api(csrf: CSRFProtect) -> Blueprint:
    blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
    csrf.exempt(blueprint)  # a browser sends no bearer token by itself, so nothing can be forged with it
    blueprint.before_request(producer.raise_failure)
    blueprint.before_request(authentication.authenticate)
    errors.add_handlers(blueprint)
    operations.add_routes(blueprint, OPERATIONS)
    return blueprint
