"""Whether a request's head says whom it is for, and where its body ends, as HTTP demands. Pure."""

import re

from webhooks_app.web.api.errors import ApiError

# A name, which may have underscores in networks of containers, or an address, and a port.
_HOST = re.compile(rb"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*)|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def check(http_version: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Raise ApiError, with status 400, for a host that is missing, given twice, or no host at all.

    Whoever stands before the web may read another one of two than it does (RFC 9112, section 3.2), or take a
    body of HTTP/1.0 in chunks, which that version does not have, for the next request (section 6.1).
    """
    if http_version == "1.0" and any(name == b"transfer-encoding" for name, _ in headers):
        raise ApiError(400, "bad_request", "HTTP/1.0 has no Transfer-Encoding.")
    hosts = [value for name, value in headers if name == b"host"]
    if not hosts and http_version == "1.0":
        return
    if len(hosts) != 1:
        raise ApiError(400, "bad_request", "The request must have one Host header.")
    if not _HOST.fullmatch(hosts[0]):
        raise ApiError(400, "bad_request", "The Host header is not a host.")
