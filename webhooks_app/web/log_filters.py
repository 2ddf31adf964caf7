"""The delivery log's filter as views take it from a URL; a damaged one is refused."""

from collections.abc import Mapping

from flask import abort

from webhooks_app.deliveries.log import filters
from webhooks_app.deliveries.log.filter_values import FilterError
from webhooks_app.deliveries.log.filters import LogFilter
from webhooks_app.web.access import check_endpoint


def filter_of_request(arguments: Mapping[str, str]) -> LogFilter:
    """Return the log's filter of a URL; 400 for a damaged one, 404 for another workspace's endpoint."""
    try:
        log_filter = filters.parse(arguments)
    except FilterError:
        abort(400)
    if log_filter.endpoint:
        check_endpoint(log_filter.endpoint)
    return log_filter
