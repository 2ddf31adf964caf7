"""The Settings tab of an endpoint as a page, with the three forms on it: settings, use, deletion."""

from typing import Any

from flask import flash, render_template, request

from webhooks_app.core.encryption import DecryptionError
from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints import custom_headers, waiting_counts
from webhooks_app.extensions import db, services
from webhooks_app.web.forms.endpoint_action_forms import DeleteForm, EnableForm
from webhooks_app.web.forms.endpoint_forms import EndpointForm
from webhooks_app.web.responses import PageResponse, is_fragment


def settings_form(endpoint: Endpoint, **options: Any) -> EndpointForm:
    """Return the form filled in with what is stored, for `options` see FlaskForm."""
    try:
        stored = custom_headers.decrypt(services().cipher, endpoint)
    except DecryptionError:
        flash("The custom headers cannot be decrypted. Saving replaces them by what you enter.", "danger")
        stored = []
    return EndpointForm(services().settings.targets, endpoint, stored, **options)


def render_settings(
    endpoint: Endpoint,
    form: EndpointForm,
    *,
    enable_form: EnableForm | None = None,
    delete_form: DeleteForm | None = None,
) -> PageResponse:
    """Return the page; 422 with a form that was refused."""
    waiting = waiting_counts.read_backlog(db.session(), endpoint.id)
    return render_form(
        "endpoints/settings.html",
        form,
        endpoint=endpoint,
        enable_form=enable_form or EnableForm(waiting.held),
        delete_form=delete_form or DeleteForm(endpoint.name),
        waiting=waiting,
        retrying=waiting.retrying if "moved" in request.args else 0,
        is_refused=bool(enable_form or delete_form),
    )


def render_form(
    template: str, form: EndpointForm, *, is_refused: bool = False, **context: object
) -> PageResponse:
    """Return the page with the form; only its header rows where htmx asked to add or remove one."""
    template = "endpoints/_headers.html" if is_fragment() else template
    page = render_template(
        template, form=form, groups=services().catalog.groups, is_edited=_is_row_edit(), **context
    )
    return page, 422 if is_refused or form.errors else 200


def _is_row_edit() -> bool:
    return "add-header" in request.form or "remove-header" in request.form
