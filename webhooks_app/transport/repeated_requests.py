"""Which requests are sent once more at once, over a new connection, before an outcome is reported."""

from typing import Any

import pycurl

from webhooks_app.transport.curl_errors import CurlCode
from webhooks_app.transport.exchange import Exchange

# What came may have been there before the request.
_NO_RESPONSE_AT_ALL = (CurlCode.UNSUPPORTED_PROTOCOL, CurlCode.WEIRD_SERVER_REPLY)
# Each of them may lose what the server sent before it closed, too.
_MOST_SENT_AGAIN = 4


def is_worth_another_connection(curl: Any, exchange: Exchange, code: int) -> bool:
    """Return whether to send again at once.

    libcurl does not read what a server sent before it closed the connection, once it fails to send: an
    early answer, or the alert that explains why the server does not want us.
    """
    if exchange.needs_new_connection or (exchange.unread_check and code in _NO_RESPONSE_AT_ALL):
        return True
    if code != CurlCode.SEND_ERROR or exchange.headers or exchange.sent_again >= _MOST_SENT_AGAIN:
        return False
    spent_us = exchange.prior_us + curl.getinfo(pycurl.TOTAL_TIME_T)
    return bool(spent_us < exchange.request.timeout_ms * 1000)
