"""The delivery log: pages by filter, rows that open in place, what is new or has changed."""

from dataclasses import replace
from functools import partial
from threading import BoundedSemaphore
from typing import NamedTuple
from urllib.parse import urlencode

from flask import abort, g, make_response, redirect, render_template, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from webhooks_app.core import clock, ids, text_display
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db.models import Endpoint, Role
from webhooks_app.deliveries import log, recoveries
from webhooks_app.deliveries.log import DeliveryRow, FilterError, LogFilter, LoggedAttempt, LogPage
from webhooks_app.deliveries.log.export import as_csv, as_json
from webhooks_app.deliveries.log.filters import parse_cursor
from webhooks_app.deliveries.log.status_explanations import StatusExplanation, explain
from webhooks_app.events.catalog import catalog
from webhooks_app.extensions import db, services
from webhooks_app.web.access import WEBHOOKS, check_endpoint, load_endpoint, workspace_blueprint
from webhooks_app.web.endpoint_pages import blueprint as endpoints_blueprint
from webhooks_app.web.layout import is_fragment
from webhooks_app.web.sample_commands import sample_event
from webhooks_app.web.template_filters import duration

blueprint = workspace_blueprint("deliveries", __name__, WEBHOOKS + "/deliveries")

PageResponse = Response | str | tuple[str, int]
EXPORTS = {"csv": (as_csv, "text/csv"), "json": (as_json, "application/json")}


class RowPreview(NamedTuple):
    """What an opened row shows: its attempts, and the payload, cut where it is long."""

    tries: list[LoggedAttempt]
    payload: str
    payload_bytes: int

    @property
    def is_cut(self) -> bool:
        return self.payload_bytes > log.PAYLOAD_SHOWN_BYTES


@blueprint.app_template_filter()
def reason(row: DeliveryRow) -> StatusExplanation:
    return explain(row, schedule_length=schedule_length(), now=clock.now())


@blueprint.app_template_filter()
def legible_parts(content: bytes | str) -> list[text_display.Part]:
    return text_display.display_parts(content)


@blueprint.app_template_filter()
def fine(milliseconds: float) -> str:
    """`0.42 ms`, `143 ms`, `1.45 s`: for phases, some of which take next to nothing."""
    return duration(milliseconds) if milliseconds >= 10 else f"{milliseconds:.2g} ms"


@blueprint.app_template_filter("bytes")
def sized(count: int) -> str:
    """`312 bytes`, `18.2 KiB`."""
    return f"{count} bytes" if count < 1024 else f"{count / 1024:.1f} KiB"


@blueprint.app_template_global()
def log_address(arguments: dict[str, str], *, view: str = "deliveries.index", **more: str | None) -> str:
    """A view's URL with the filter's arguments; `url_for` cannot have one that is called `endpoint`."""
    return _with_query(url_for(view), arguments, more)


def _with_query(path: str, arguments: dict[str, str], more: dict[str, str | None]) -> str:
    query = urlencode(arguments | {name: value for name, value in more.items() if value})
    return f"{path}?{query}" if query else path


@blueprint.app_template_global()
def ended_in(endpoint_id: str, outcome: str, period: str) -> str:
    """The URL of an endpoint's log, of the deliveries whose last attempt had this outcome."""
    return url_for(
        "endpoints.deliveries",
        endpoint_id=endpoint_id,
        response=log.response_filter(OutcomeClass(outcome)),
        range=period,
    )


@blueprint.app_template_global()
def schedule_length() -> int:
    return len(services().settings.retry_delays) + 1


@blueprint.get("/")
def index() -> PageResponse:
    return _log()


@endpoints_blueprint.get("/endpoints/<endpoint_id>/deliveries")
def deliveries(endpoint_id: str) -> PageResponse:
    """The log of one endpoint, among its tabs."""
    return _log(load_endpoint(endpoint_id))


def _log(endpoint: Endpoint | None = None) -> PageResponse:
    try:
        wanted = log.parse(request.args)
        before, after = parse_cursor(request.args)
    except FilterError as error:
        return _log_page(_of(LogFilter(), endpoint), LogPage([]), endpoint, error=error), 400
    wanted = _of(wanted, endpoint)
    if wanted.endpoint:
        check_endpoint(wanted.endpoint)
    now = clock.now()
    page = log.read_page(db.session(), g.workspace.id, wanted, now=now, before=before, after=after)
    response = make_response(_log_page(wanted, page, endpoint))
    if request.headers.get("HX-Source") == "form#filters":
        # Without the form's empty fields.
        response.headers["HX-Push-Url"] = _address(wanted, endpoint)
    return response


def _of(wanted: LogFilter, endpoint: Endpoint | None) -> LogFilter:
    return replace(wanted, endpoint=endpoint.id) if endpoint else wanted


def _address(wanted: LogFilter, endpoint: Endpoint | None, **more: str | None) -> str:
    """This log's own URL with that filter, in the workspace or among an endpoint's tabs."""
    if endpoint is None:
        return _with_query(url_for("deliveries.index"), wanted.arguments, more)
    path = url_for("endpoints.deliveries", endpoint_id=endpoint.id)
    return _with_query(path, replace(wanted, endpoint="").arguments, more)


@blueprint.get("/export")
def export() -> PageResponse:
    """The filter's rows as a file, streamed; `format` says of which kind."""
    wanted, kind, now = _filter(), request.args.get("format", ""), clock.now()
    if kind not in EXPORTS:
        abort(400)
    if wanted.endpoint:
        check_endpoint(wanted.endpoint)
    places: BoundedSemaphore = services().export_slots
    if not places.acquire(blocking=False):
        return _busy()
    write, mimetype = EXPORTS[kind]
    response = Response(write(services().read, g.workspace.id, wanted, now=now), mimetype=mimetype)
    response.call_on_close(places.release)
    name = f"deliveries-{now:%Y-%m-%d-%H%M}.{kind}"
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    return response


def _busy() -> Response:
    words = "Other exports are under way. Try again when they are done."
    page = render_template(
        "error.html", code=429, title="Too many exports at once", text=words, is_framed=True
    )
    response = make_response(page, 429)
    response.headers["Retry-After"] = "30"
    return response


@blueprint.get("/changes")
def changes() -> PageResponse:
    """What has changed of the rows that the reader has, `seen` as `id~version`, and how many are new."""
    seen = [each.partition("~") for each in request.args.getlist("seen")[: log.PAGE_SIZE]]
    versions = {delivery_id: version for delivery_id, _, version in seen}
    rows = log.read_rows(db.session(), g.workspace.id, list(versions))
    changed = [row for row in rows if row.version != versions[row.id]]
    count = _count_new()
    if not changed and str(count) == request.args.get("shown", "0"):
        return "", 204
    return render_template(
        "deliveries/_changes.html",
        rows=changed,
        peeks=row_previews(changed),
        count=count,
        newest_url=log_address(_filter().arguments),
    )


@blueprint.get("/<delivery_id>/row")
def row(delivery_id: str) -> PageResponse:
    """The row, open or closed."""
    found = load_row(delivery_id)
    if not is_fragment():
        return redirect(url_for("deliveries.show", delivery_id=delivery_id))
    return rows_fragment([found])


def rows_fragment(rows: list[DeliveryRow], *, in_parts: bool = False) -> str:
    """One row, or several as parts that each find their place."""
    template = "deliveries/_changes.html" if in_parts else "deliveries/_row.html"
    return render_template(template, rows=rows, peeks=row_previews(rows), count=None)


def load_row(delivery_id: str) -> DeliveryRow:
    """The workspace's delivery; 404 for another's or an unknown one."""
    found = log.read_row(db.session(), g.workspace.id, delivery_id)
    if found is None:
        abort(404)
    return found


def row_previews(rows: list[DeliveryRow]) -> dict[str, RowPreview]:
    """Of the rows that are open, by their ids."""
    opened = set(request.values.getlist("open"))
    return {row.id: _peek(row) for row in rows if row.id in opened}


def _peek(row: DeliveryRow) -> RowPreview:
    tries = log.read_attempts(db.session(), row.id, row.attempt_count, full=False)
    payload, size = log.read_payload(db.session(), row.event_id, limit=log.PAYLOAD_SHOWN_BYTES)
    # A character cut in two at the end is no invalid byte of the sender's.
    text = payload.decode("utf-8", "ignore" if size > len(payload) else "surrogateescape")
    return RowPreview(tries, text_display.indent_json(text), size)


def _log_page(
    wanted: LogFilter, page: LogPage, endpoint: Endpoint | None, *, error: FilterError | None = None
) -> str:
    endpoints = endpoint_choices(wanted.endpoint)
    is_unfiltered = wanted == _of(LogFilter(), endpoint) and error is None
    is_empty = not page.rows and not page.searched_to and is_unfiltered
    whole = "endpoints/deliveries.html" if endpoint else "deliveries/index.html"
    return render_template(
        "deliveries/_log.html" if is_fragment() else whole,
        endpoint=endpoint,
        here=partial(_address, wanted, endpoint),
        home=_address(LogFilter(), endpoint),
        wanted=wanted,
        page=page,
        peeks=row_previews(page.rows),
        error=error,
        endpoints=endpoints,
        groups=catalog().groups,
        ranges=log.RANGES,
        responses=log.RESPONSES,
        statuses=log.STATUSES,
        newest=page.rows[0].id if page.rows else ids.floor("dlv", clock.now()),
        is_empty=is_empty,
        can_recover=bool(page.rows) and _can_recover(wanted),
        arguments=wanted.arguments,
        sample=sample_event() if is_empty else "",
    )


def _can_recover(wanted: LogFilter) -> bool:
    """Whether a recovery takes this filter, and this person may start one."""
    return wanted.status in recoveries.STATUSES and not wanted.q and g.member.role is Role.ADMIN


def endpoint_choices(chosen: str = "") -> list[tuple[str, str]]:
    """The workspace's endpoints, id and name, by name; the chosen one even if it is deleted."""
    rows = db.session.execute(
        select(Endpoint.id, Endpoint.name, Endpoint.deleted_at).where(Endpoint.workspace_id == g.workspace.id)
    )
    shown = [
        (row.id, f"{row.name} (deleted)" if row.deleted_at else row.name)
        for row in rows
        if row.deleted_at is None or row.id == chosen
    ]
    return sorted(shown, key=lambda item: item[1].casefold())


def _filter() -> LogFilter:
    try:
        return log.parse(request.args)
    except FilterError:
        abort(400)


def _count_new() -> int:
    newest = request.args.get("newest", "")
    if not newest:
        return 0
    if not ids.is_id("dlv", newest):
        abort(400)
    wanted = _filter()
    if wanted.endpoint:
        check_endpoint(wanted.endpoint)
    return log.count_newer(db.session(), g.workspace.id, wanted, newest, now=clock.now())
