"""Filters of the log that the workspace shares: the page of them, saving, renaming, removing."""

from urllib.parse import parse_qsl

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict

from webhooks_app.db.models import SavedFilter
from webhooks_app.deliveries.log import saved_filters
from webhooks_app.deliveries.log.filters import LogFilter
from webhooks_app.deliveries.log.saved_filters import MOST_FILTERS, NameTaken, TooManyFilters
from webhooks_app.extensions import db, services
from webhooks_app.web.access import actor, admin_required, load_owned
from webhooks_app.web.endpoint_choice import endpoint_names
from webhooks_app.web.forms.account_forms import NameForm
from webhooks_app.web.log_filters import filter_of_request
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.template_links import log_address

_TAKEN = "Another filter has this name. Choose another."
_TOO_MANY = f"There are {MOST_FILTERS} filters, and no more are kept. Remove one first."


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/filters")(saved)
    blueprint.post("/filters")(save)
    blueprint.post("/filters/<filter_id>/rename")(rename)
    blueprint.post("/filters/<filter_id>/remove")(remove)


def saved() -> PageResponse:
    """Show all; for admins, with the filter of the request's arguments to be saved if there is one."""
    log_filter = filter_of_request(request.args)
    return _page(log_filter, NameForm(formdata=None))


@admin_required
def save() -> PageResponse:
    log_filter = filter_of_request(MultiDict(parse_qsl(request.form.get("filter", ""))))
    if log_filter == LogFilter():
        abort(400)
    form = NameForm()
    if not form.validate():
        return _page(log_filter, form), 422
    try:
        saved_filters.save(services().write, g.workspace.id, form.name.data, log_filter, actor=actor())
    except (NameTaken, TooManyFilters) as refusal:
        form.name.errors = [_TAKEN if isinstance(refusal, NameTaken) else _TOO_MANY]
        return _page(log_filter, form), 422
    flash(f"Filter “{form.name.data}” saved for everybody in this workspace.", "success")
    return redirect(log_address(log_filter.arguments), 303)


@admin_required
def rename(filter_id: str) -> PageResponse:
    chosen, form = load_owned(SavedFilter, filter_id), NameForm()
    if not form.validate():
        return _page(LogFilter(), NameForm(formdata=None), renamed=chosen.id, rename_form=form), 422
    try:
        saved_filters.rename(services().write, chosen, form.name.data, actor=actor())
    except NameTaken:
        form.name.errors = [_TAKEN]
        return _page(LogFilter(), NameForm(formdata=None), renamed=chosen.id, rename_form=form), 422
    flash(f"The filter is called “{form.name.data}” now.", "success")
    return redirect(url_for("deliveries.saved"), 303)


@admin_required
def remove(filter_id: str) -> PageResponse:
    chosen = load_owned(SavedFilter, filter_id)
    name = chosen.name
    if saved_filters.remove(services().write, chosen, actor=actor()):
        flash(f"Filter “{name}” removed. The deliveries are all there.", "success")
    return redirect(url_for("deliveries.saved"), 303)


def _page(
    log_filter: LogFilter, form: NameForm, *, renamed: str = "", rename_form: NameForm | None = None
) -> str:
    """Render the page; `rename_form` stands at the filter `renamed`, with what is wrong about it."""
    found = saved_filters.read_all(db.session(), g.workspace.id)
    named = [each.filter.get("endpoint", "") for each in found] + [log_filter.endpoint]
    return render_template(
        "deliveries/saved.html",
        saved=found,
        log_filter=log_filter.arguments,
        form=form,
        renamed=renamed,
        rename_form=rename_form,
        endpoint_names=endpoint_names(filter(None, named)),
    )
