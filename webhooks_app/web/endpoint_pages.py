"""The endpoints: list, form, overview, and the settings with what takes one out of use."""

from datetime import datetime, timedelta
from typing import Any

from flask import flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from webhooks_app.core import clock
from webhooks_app.core.encryption import DecryptionError
from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints import actions, attempt_stats, charts, custom_headers, notices, overview
from webhooks_app.events.catalog import catalog
from webhooks_app.extensions import db, services
from webhooks_app.transport.target_policy import TargetPolicy
from webhooks_app.web.access import WEBHOOKS, actor, admin_required, load_endpoint, workspace_blueprint
from webhooks_app.web.forms.endpoint_forms import DeleteForm, EnableForm, EndpointForm, host_name
from webhooks_app.web.layout import is_fragment
from webhooks_app.web.template_filters import relative

blueprint = workspace_blueprint("endpoints", __name__, WEBHOOKS)

Page = Response | str | tuple[str, int]
LONGEST_SEARCH = 200


@blueprint.app_template_filter()
def lower_first(words: str) -> str:
    """For a label inside a sentence; abbreviations stay as they are."""
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]


@blueprint.app_template_filter()
def clause(sentence: str) -> str:
    """A sentence as the end of another: no capital, no full stop."""
    return lower_first(sentence).removesuffix(".")


@blueprint.app_template_filter()
def elapsed(moment: datetime) -> str:
    """How long ago, as `relative` counts."""
    return relative(min(moment, clock.now())).removesuffix(" ago")


@blueprint.app_template_filter()
def is_recent(moment: datetime) -> bool:
    return clock.now() - moment < timedelta(minutes=1)


@blueprint.app_template_filter()
def is_past(moment: datetime) -> bool:
    return moment <= clock.now()


@blueprint.get("/")
def index() -> str:
    # PostgreSQL takes no NUL in a text, and no name or URL has one.
    search = request.args.get("q", "").replace("\0", "").strip()[:LONGEST_SEARCH]
    state = request.args.get("state", "")
    found = overview.read_rows(db.session(), g.workspace.id, search, clock.now())
    template = "endpoints/_list.html" if is_fragment() else "endpoints/index.html"
    return render_template(
        template,
        rows=[
            row for row in found if state not in overview.HEALTH_STATES or row.endpoint.health_state == state
        ],
        ill=sum(row.endpoint.health_state != "enabled" for row in found),
        count=len(found),
        search=search,
        state=state if state in overview.HEALTH_STATES else "",
        event_count=len(catalog().event_types),
    )


@blueprint.route("/endpoints/new", methods=["GET", "POST"])
@admin_required
def new() -> Page:
    form = EndpointForm(_policy(), timeout_ms=g.workspace.default_timeout_ms)
    if form.is_submitted() and form.edit_rows(request.form):
        return _form_page("endpoints/new.html", form)
    if not form.validate_on_submit():
        return _form_page("endpoints/new.html", form)
    values = form.values()
    endpoint_id = actions.create(services().write, services().cipher, g.workspace.id, values, actor=actor())
    flash(_saved(f"Endpoint “{values.name}” added.", form), "success")
    return redirect(url_for("endpoints.verify", endpoint_id=endpoint_id, new=1), 303)


@blueprint.get("/endpoints/<endpoint_id>")
def show(endpoint_id: str) -> str:
    endpoint = load_endpoint(endpoint_id)
    period = charts.PERIODS.get(request.args.get("period", ""), attempt_stats.DAY)
    stats = attempt_stats.read_stats(db.session(), endpoint, period, clock.now())
    if is_fragment():
        return render_template("endpoints/_health.html", endpoint=endpoint, stats=stats)
    return render_template(
        "endpoints/show.html",
        endpoint=endpoint,
        stats=stats,
        waiting=overview.read_backlog(db.session(), endpoint.id),
        held=0 if endpoint.is_enabled else _held(endpoint),
        failure=overview.last_failure(endpoint),
        has_failed=overview.has_failed(db.session(), endpoint.id),
        notice=notices.for_endpoint(db.session(), endpoint),
        event_count=len(catalog().event_types),
    )


@blueprint.route("/endpoints/<endpoint_id>/settings", methods=["GET", "POST"])
@admin_required
def settings(endpoint_id: str) -> Page:
    endpoint = load_endpoint(endpoint_id)
    form = _settings_form(endpoint)
    if form.is_submitted() and form.edit_rows(request.form):
        return _settings_page(endpoint, form)
    if not form.validate_on_submit():
        return _settings_page(endpoint, form)
    actions.change(services().write, services().cipher, endpoint, form.values(), actor=actor())
    flash(_saved("Changes saved.", form), "success")
    return redirect(url_for("endpoints.settings", endpoint_id=endpoint_id), 303)


@blueprint.post("/endpoints/<endpoint_id>/disable")
@admin_required
def disable(endpoint_id: str) -> Response:
    endpoint = load_endpoint(endpoint_id)
    actions.disable(services().write, endpoint, actor=actor())
    flash("Endpoint disabled. Its events are held until you enable it again.", "success")
    return redirect(url_for("endpoints.show", endpoint_id=endpoint_id), 303)


@blueprint.post("/endpoints/<endpoint_id>/enable")
@admin_required
def enable(endpoint_id: str) -> Page:
    endpoint = load_endpoint(endpoint_id)
    if endpoint.is_enabled:
        flash("This endpoint is enabled already.", "info")
        return redirect(url_for("endpoints.show", endpoint_id=endpoint_id), 303)
    form = EnableForm(_held(endpoint))
    if not form.validate():
        return _settings_page(endpoint, _settings_form(endpoint, formdata=None), enable_form=form)
    send = form.held.data == "send"
    held = actions.enable(services().write, endpoint, send_held=send, actor=actor())
    if held and send:
        services().wake_ups.wake_worker()
    flash("Endpoint enabled." + _told_of_held(held, send), "success")
    return redirect(url_for("endpoints.show", endpoint_id=endpoint_id), 303)


@blueprint.post("/endpoints/<endpoint_id>/delete")
@admin_required
def delete(endpoint_id: str) -> Page:
    endpoint = load_endpoint(endpoint_id)
    name, form = endpoint.name, DeleteForm(endpoint.name)
    if not form.validate():
        return _settings_page(endpoint, _settings_form(endpoint, formdata=None), delete_form=form)
    actions.remove(services().write, endpoint, actor=actor())
    flash(f"Endpoint “{name}” deleted.", "success")
    return redirect(url_for("endpoints.index"), 303)


def _told_of_held(count: int, send: bool) -> str:
    if not count:
        return ""
    if count == 1:
        return f" 1 held delivery {'is on its way' if send else 'was discarded'}."
    return f" {count:,} held deliveries {'are on their way' if send else 'were discarded'}."


def _policy() -> TargetPolicy:
    policy: TargetPolicy = services().settings.targets
    return policy


def _held(endpoint: Endpoint) -> int:
    return actions.held_count(services().read, endpoint.id, limit=overview.COUNT_LIMIT)


def _settings_form(endpoint: Endpoint, **options: Any) -> EndpointForm:
    try:
        stored = custom_headers.decrypt(services().cipher, endpoint)
    except DecryptionError:
        flash("The custom headers cannot be decrypted. Saving replaces them by what you enter.", "danger")
        stored = []
    return EndpointForm(_policy(), endpoint, stored, **options)


def _settings_page(
    endpoint: Endpoint,
    form: EndpointForm,
    *,
    enable_form: EnableForm | None = None,
    delete_form: DeleteForm | None = None,
) -> Page:
    return _form_page(
        "endpoints/settings.html",
        form,
        endpoint=endpoint,
        enable_form=enable_form or EnableForm(0 if endpoint.is_enabled else _held(endpoint)),
        delete_form=delete_form or DeleteForm(endpoint.name),
        waiting=overview.read_backlog(db.session(), endpoint.id),
        is_refused=bool(enable_form or delete_form),
    )


def _form_page(template: str, form: EndpointForm, *, is_refused: bool = False, **context: object) -> Page:
    """The page with the form; only its header rows where htmx asked to add or remove one."""
    template = "endpoints/_headers.html" if is_fragment() else template
    page = render_template(template, form=form, groups=catalog().groups, is_edited=_is_row_edit(), **context)
    return page, 422 if is_refused or form.errors else 200


def _is_row_edit() -> bool:
    return "add-header" in request.form or "remove-header" in request.form


def _saved(words: str, form: EndpointForm) -> str:
    """Says so where the host is stored in another spelling than typed, such as punycode."""
    host = host_name(form.normal_url)
    return words if host.lower() in (form.url.data or "").lower() else f"{words} In DNS the host is {host}."
