"""The filtered delivery log as a file."""

import logging
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from flask import Blueprint, abort, g, make_response, request
from werkzeug.wrappers import Response

from webhooks_app.core import clock
from webhooks_app.db import transient_errors
from webhooks_app.deliveries.log.export import as_csv, as_json
from webhooks_app.deliveries.log.export_slots import ExportSlot
from webhooks_app.extensions import services
from webhooks_app.web.error_pages import render_error
from webhooks_app.web.log_filters import filter_of_request
from webhooks_app.web.responses import CutShort, PageResponse

log = logging.getLogger(__name__)

EXPORTS = {"csv": (as_csv, "text/csv"), "json": (as_json, "application/json")}
# The last line of a file that is not whole, for who opens it all the same; in JSON it breaks the syntax.
_NOT_WHOLE = "This export is not complete: {}. Export again.\n"
_NO_DATABASE = _NOT_WHOLE.format("the database stopped answering")
_TOO_SLOW = _NOT_WHOLE.format("it was read too slowly while others waited for theirs")


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/export")(export)


def export() -> PageResponse:
    """Stream the filter's rows; `format` says as which kind of file."""
    kind, now = request.args.get("format", ""), clock.now()
    log_filter = filter_of_request(request.args)
    if kind not in EXPORTS:
        abort(400)
    slots = services().export_slots
    slot = slots.take()
    if slot is None:
        return _refuse_busy()
    write, mimetype = EXPORTS[kind]
    try:
        parts = _begun(write(services().read, g.workspace.id, log_filter, now=now))
    except BaseException:
        slots.give_back(slot)
        raise
    response = Response(_stream(parts, slot, workspace_id=g.workspace.id), mimetype=mimetype)
    response.call_on_close(lambda: slots.give_back(slot))
    name = f"deliveries-{now:%Y-%m-%d-%H%M}.{kind}"
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    return response


def _begun(parts: Iterator[str]) -> Iterator[str]:
    """Return the parts, of which the first rows have been read: a database that is away is still a 503."""
    return chain(list(islice(parts, 2)), parts)


def _stream(parts: Iterable[str], slot: ExportSlot, *, workspace_id: str) -> Iterator[str]:
    """Yield the parts. Raises CutShort behind a last line that says why they are not all."""
    try:
        for part in parts:
            yield from slot.hand_out(part)
            if slot.is_lost:
                log.info("export_cut_short", extra={"workspace_id": workspace_id, "cause": "slow_reader"})
                yield "\n" + _TOO_SLOW
                raise CutShort
    except transient_errors.DATABASE_ERRORS as error:
        transient_errors.raise_unless_transient(error)
        transient_errors.log_unavailable(log, error, view="export", workspace=workspace_id)
        yield "\n" + _NO_DATABASE
        raise CutShort from None


def _refuse_busy() -> Response:
    text = "Other exports are under way. Try again when they are done."
    response = make_response(render_error(429, "Too many exports at once", text), 429)
    response.headers["Retry-After"] = "30"
    return response
