"""What an open page of the delivery log asks for every few seconds: changed rows, and how many are new."""

from typing import Any
from zlib import crc32

from flask import Blueprint, abort, g, render_template, request

from webhooks_app.core import clock, ids
from webhooks_app.deliveries.log import delivery_list
from webhooks_app.deliveries.log.rows import DeliveryRow, read_rows
from webhooks_app.endpoints import health
from webhooks_app.extensions import db
from webhooks_app.web.delivery_rows import row_previews
from webhooks_app.web.log_filters import filter_of_request
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.template_links import log_address


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/changes")(changes)
    blueprint.get("/failing")(failing)


def changes() -> PageResponse:
    """Return what has changed of the rows that the reader has, or 204.

    The request's `seen` names those as `id~version`, `shown` is the count of new ones that the page shows.
    """
    rows = _changed_rows()
    count = _count_new()
    if not rows and str(count) == request.args.get("shown", "0"):
        return "", 204
    return render_template(
        "deliveries/_changes.html",
        rows=rows,
        previews=row_previews(rows),
        count=count,
        newest_url=log_address(filter_of_request(request.args).arguments),
    )


def failing() -> PageResponse:
    """Return the line above the log that says what fails; 204 where `shown` stands for the same."""
    variables = failing_variables()
    if variables["shown"] == request.args.get("shown"):
        return "", 204
    return render_template("deliveries/_failing.html", **variables)


def failing_variables() -> dict[str, Any]:
    """Return what that line reads; `shown` differs whenever it looks different."""
    found = health.read_failing(db.session(), g.workspace.id)
    looks = [
        (each.id, each.name, each.health.failing_since, health.last_failure(each.health)) for each in found
    ]
    labels = [(*rest, last.label if last else "") for *rest, last in looks]
    return {"failing": found, "shown": f"{crc32(repr(labels).encode()):08x}"}


def _changed_rows() -> list[DeliveryRow]:
    seen = [each.partition("~") for each in request.args.getlist("seen")[: delivery_list.PAGE_SIZE]]
    versions = {delivery_id: version for delivery_id, _, version in seen}
    rows = read_rows(db.session(), g.workspace.id, list(versions))
    return [row for row in rows if row.version != versions[row.id]]


def _count_new() -> int:
    newest = request.args.get("newest", "")
    if not newest:
        return 0
    if not ids.is_id("dlv", newest):
        abort(400)
    log_filter = filter_of_request(request.args)
    return delivery_list.count_newer(db.session(), g.workspace.id, log_filter, newest, now=clock.now())
