"""What can be done with deliveries: replay one or several, cancel one."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, abort, flash, g, redirect, request, url_for
from werkzeug.wrappers import Response

from webhooks_app.core import ids
from webhooks_app.db.models import Endpoint
from webhooks_app.deliveries import cancellations, replays
from webhooks_app.deliveries.cancellations import CancelResult
from webhooks_app.deliveries.log import delivery_list
from webhooks_app.deliveries.log.rows import DeliveryRow, read_rows
from webhooks_app.deliveries.replays import ReplayResult, UnknownDelivery
from webhooks_app.extensions import db, services
from webhooks_app.web.access import actor, admin_required
from webhooks_app.web.delivery_page import render_delivery
from webhooks_app.web.delivery_rows import load_row, render_row, render_rows
from webhooks_app.web.responses import PageResponse, is_fragment, with_toast


def add_routes(blueprint: Blueprint) -> None:
    blueprint.post("/replay")(replay_selected)
    blueprint.post("/<delivery_id>/replay")(replay)
    blueprint.post("/<delivery_id>/cancel")(cancel)


@admin_required
def replay_selected() -> PageResponse:
    selected = list(dict.fromkeys(request.form.getlist("delivery")))[: delivery_list.PAGE_SIZE]
    if not selected:
        return _respond_with_log([], "Select the deliveries to replay first.", "info")
    with _unknown_is_404():
        results = replays.replay_several(
            services().write, services().wake_ups, g.workspace.id, selected, actor=actor()
        )
    variant = "success" if all(result.is_sent for result in results) else "danger"
    return _respond_with_log(selected, _summarize(results), variant)


@admin_required
def replay(delivery_id: str) -> PageResponse:
    with _unknown_is_404():
        result = replays.replay(
            services().write, services().wake_ups, g.workspace.id, delivery_id, actor=actor()
        )
    return _respond(delivery_id, result.value, "success" if result.is_sent else "danger")


@admin_required
def cancel(delivery_id: str) -> PageResponse:
    with _unknown_is_404():
        result = cancellations.cancel(services().write, g.workspace.id, delivery_id, actor=actor())
    return _respond(delivery_id, result.value, "success" if result is CancelResult.CANCELED else "danger")


@contextmanager
def _unknown_is_404() -> Iterator[None]:
    """Answer 404 where an action finds no such delivery in the workspace; none looks it up beforehand."""
    try:
        yield
    except UnknownDelivery:
        abort(404)


def _summarize(results: Counter[ReplayResult]) -> str:
    """Return `2 replays started. 1 left out: the endpoint is disabled.`"""
    sent = sum(count for result, count in results.items() if result.is_sent)
    sentences = [f"{sent} {'replay' if sent == 1 else 'replays'} started."] if sent else []
    left_out = [(result.value, count) for result, count in results.items() if not result.is_sent]
    return " ".join([*sentences, *(f"{count} left out: {why}" for why, count in left_out)])


def _respond(delivery_id: str, message: str, variant: str) -> Response:
    """Return what was done to one delivery: its row in the log, or its own page, wherever it was pressed."""
    if not _is_from_log():
        if not is_fragment():
            return _redirect(url_for("deliveries.show", delivery_id=delivery_id), message, variant)
        return with_toast(render_delivery(_load_row(delivery_id)), message, variant)
    if not is_fragment():
        return _redirect(_log_path(), message, variant)
    return with_toast(render_row(_load_row(delivery_id)), message, variant)


def _load_row(delivery_id: str) -> DeliveryRow:
    """Return the delivery; the next refresh says what one waits for that has just become due."""
    return load_row(delivery_id, with_waits=False)


def _respond_with_log(delivery_ids: list[str], message: str, variant: str) -> Response:
    """Return what was done to several: their rows, each to its place, or the log that they stood in."""
    if not is_fragment():
        return _redirect(_log_path(), message, variant)
    rows = read_rows(db.session(), g.workspace.id, delivery_ids, with_waits=False)
    return with_toast(render_rows(rows), message, variant)


def _redirect(path: str, message: str, variant: str) -> Response:
    flash(message, variant)
    return redirect(path, 303)


def _is_from_log() -> bool:
    """Return whether the form stood in the log, which sends along its own query as `back`."""
    return "back" in request.form


def _log_path() -> str:
    """Return the log that the form stood in: an endpoint's, while that exists, or the workspace's."""
    query = urlencode(parse_qsl(request.form.get("back", "")))
    tab = request.form.get("tab", "")
    endpoint = db.session.get(Endpoint, tab) if ids.is_id("ep", tab) else None
    if endpoint is None or endpoint.workspace_id != g.workspace.id or endpoint.deleted_at is not None:
        return f"{url_for('deliveries.index')}?{query}".rstrip("?")
    return f"{url_for('endpoints.deliveries', endpoint_id=endpoint.id)}?{query}".rstrip("?")
