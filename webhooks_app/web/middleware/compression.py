"""Responses over a kibibyte leave under gzip, where the client takes that and it gives nothing away.

Compressed length tells how much of a page repeats itself. Who can have a person's browser ask for pages with
guesses in their addresses, and can see how long the answers are, so reads what stands beside the guesses
(BREACH). So a page of the console is compressed only where nothing of a stranger's choosing is on it:
`_is_safe` says where that is. Answers of the API are asked for with a token that no browser sends by itself,
and static files and the documents hold no secrets.
"""

import gzip
import threading

from flask import Flask, Response, request

SMALLEST_BYTES = 1024
# Behind the ETag of an answer that is compressed, as it is another one.
GZIP_SUFFIX = "-gzip"
# By far most of what there is to gain; the highest levels take several times as long.
LEVEL = 6
_STATIC_LEVEL = 9  # once for each file
_TYPES = frozenset({"application/json", "application/javascript", "image/svg+xml"})


class _StaticFiles:
    """The compressed static files of this process, by ETag, which holds the time and size of the file."""

    def __init__(self) -> None:
        self._by_etag: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def compress(self, etag: str, content: bytes) -> bytes:
        with self._lock:
            if etag not in self._by_etag:
                self._by_etag[etag] = gzip.compress(content, _STATIC_LEVEL, mtime=0)
            return self._by_etag[etag]


def register(app: Flask) -> None:
    static_files = _StaticFiles()

    def compress(response: Response) -> Response:
        if not _has_variants(response):
            return response
        response.vary.add("Accept-Encoding")
        is_part = _is_static(response) and response.status_code != 200
        if is_part or not _takes_gzip() or not _is_safe(response):
            return response
        response.direct_passthrough = False  # a file is read here and not by the server
        content = response.get_data()
        etag, _ = response.get_etag()
        if _is_static(response) and etag:
            return _replace(response, static_files.compress(etag, content), etag)
        return _replace(response, gzip.compress(content, LEVEL, mtime=0), etag)

    app.after_request(compress)


def _has_variants(response: Response) -> bool:
    """Return whether there is a compressed variant; what is streamed, such as an export, has none."""
    is_long = (response.content_length or 0) >= SMALLEST_BYTES
    if _is_static(response):  # what is not modified, or a part, has another variant all the same
        is_long = is_long or response.status_code != 200
    elif response.is_streamed:
        return False
    kind = response.mimetype or ""
    is_text = kind in _TYPES or kind.startswith("text/")
    return is_long and is_text and "Content-Encoding" not in response.headers


def _takes_gzip() -> bool:
    """Return whether the client prefers gzip, or likes it as well (RFC 9110, 12.5.3)."""
    accepted = request.accept_encodings
    return 0 < accepted.quality("gzip") >= accepted["identity"]


def _is_safe(response: Response) -> bool:
    """Return whether nobody but the person and the console can have chosen what stands beside the secrets.

    Every browser of today says which site a request comes from, in a header that no page can set (Fetch
    Metadata). Without it, a page is safe if its address has no query and nothing was posted.
    """
    if _is_static(response) or request.blueprint == "api":
        return True
    if request.method not in ("GET", "HEAD"):
        return False
    site = request.headers.get("Sec-Fetch-Site")
    return site == "same-origin" or (site in (None, "none") and not request.query_string)


def _is_static(response: Response) -> bool:
    """Return whether it is a file of the console or of the documents, and no page in place of one."""
    is_document = request.blueprint == "documents" and response.cache_control.public
    return request.endpoint == "static" or bool(is_document)


def _replace(response: Response, content: bytes, etag: str | None) -> Response:
    response.set_data(content)
    response.headers["Content-Encoding"] = "gzip"
    response.headers.pop("Accept-Ranges", None)  # ranges are of the file as it is
    if etag:
        response.set_etag(etag + GZIP_SUFFIX)
        response.make_conditional(request)
    return response
