"""The filtered delivery log as a file."""

from flask import Blueprint, abort, g, make_response, request
from werkzeug.wrappers import Response

from webhooks_app.core import clock
from webhooks_app.deliveries.log.export import as_csv, as_json
from webhooks_app.extensions import services
from webhooks_app.web.error_pages import render_error
from webhooks_app.web.log_filters import filter_of_request
from webhooks_app.web.responses import PageResponse

EXPORTS = {"csv": (as_csv, "text/csv"), "json": (as_json, "application/json")}


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/export")(export)


def export() -> PageResponse:
    """Stream the filter's rows; `format` says as which kind of file."""
    kind, now = request.args.get("format", ""), clock.now()
    log_filter = filter_of_request(request.args)
    if kind not in EXPORTS:
        abort(400)
    slots = services().export_slots
    if not slots.acquire(blocking=False):
        return _refuse_busy()
    write, mimetype = EXPORTS[kind]
    response = Response(write(services().read, g.workspace.id, log_filter, now=now), mimetype=mimetype)
    response.call_on_close(slots.release)
    name = f"deliveries-{now:%Y-%m-%d-%H%M}.{kind}"
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    return response


def _refuse_busy() -> Response:
    text = "Other exports are under way. Try again when they are done."
    response = make_response(render_error(429, "Too many exports at once", text), 429)
    response.headers["Retry-After"] = "30"
    return response
