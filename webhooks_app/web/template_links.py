"""URLs that templates and views put together; `template_filters.register` gives them to the templates."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import current_app, url_for

from webhooks_app.accounts.audit_log import AuditLine
from webhooks_app.db.models import Endpoint, Recovery
from webhooks_app.deliveries.log.filters import LogFilter
from webhooks_app.endpoints.endpoint_list import EndpointFilter
from webhooks_app.web import traffic_charts

# The page of what an audit entry is about, by the prefix of its id: view and parameter.
TARGET_PAGES = {
    "ep": ("endpoints.show", "endpoint_id"),
    "dlv": ("deliveries.show", "delivery_id"),
    "rcv": ("recoveries.show", "recovery_id"),
}


def asset(name: str) -> str:
    """Return the URL of a static file, with a version that changes with its content."""
    assert current_app.static_folder is not None
    return url_for("static", filename=name, v=_version(Path(current_app.static_folder) / name))


@lru_cache
def _version(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()[:12]


def log_address(arguments: Mapping[str, str], *, view: str = "deliveries.index", **more: str | None) -> str:
    """Return a view's URL with a filter's arguments; `url_for` cannot take one that is called `endpoint`."""
    return _with_query(url_for(view), arguments, more)


def endpoint_log_address(log_filter: LogFilter, endpoint: Endpoint | None, **more: str | None) -> str:
    """Return the URL of the log with that filter: the endpoint's own or, without one, the workspace's."""
    if endpoint is None:
        return _with_query(url_for("deliveries.index"), log_filter.arguments, more)
    path = url_for("endpoints.deliveries", endpoint_id=endpoint.id)
    return _with_query(path, replace(log_filter, endpoint="").arguments, more)


def endpoint_list_address(endpoint_filter: EndpointFilter, **more: str | None) -> str:
    """Return the URL of the list of endpoints with that filter."""
    return _with_query(url_for("endpoints.index"), endpoint_filter.arguments, more)


def _with_query(path: str, arguments: Mapping[str, str], more: Mapping[str, str | None]) -> str:
    query = urlencode({name: value for name, value in {**arguments, **more}.items() if value})
    return f"{path}?{query}" if query else path


def ended_in(endpoint_id: str, name: str, period: str) -> str:
    """Return the URL of an endpoint's log, of the deliveries whose last attempt ended as `name` says.

    That is a status or an outcome, as the sums of attempts have it.
    """
    response = traffic_charts.response_argument(name)
    return url_for("endpoints.deliveries", endpoint_id=endpoint_id, response=response, range=period)


def recovery_log(recovery: Recovery, status: str = "") -> str:
    """Return the URL of the log of the deliveries that the recovery dealt with, by what became of them."""
    return log_address({"recovery": recovery.id}, status=status)


def recovery_address(log_filter: LogFilter, action: str) -> str:
    """Return the URL of the page that counts what a recovery with that filter and action would look at."""
    # What the filter leaves open is said, as that page would fill it in.
    arguments = {"status": "", "range": "all", **log_filter.arguments, "action": action}
    return f"{url_for('recoveries.new')}?{urlencode(arguments)}"


def target_url(entry: AuditLine) -> str:
    """Return the URL of what the audit entry is about, or nothing where there is none."""
    view, parameter = TARGET_PAGES.get(entry.target.partition("_")[0], ("", ""))
    if not view or entry.action == "endpoint.delete":
        return ""
    values: dict[str, Any] = {parameter: entry.target}
    return url_for(view, **values)
