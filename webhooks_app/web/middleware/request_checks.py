"""What happens to every request before a view sees it."""

from typing import Any
from urllib.parse import unquote_to_bytes

from flask import Flask, abort, request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
from werkzeug.middleware.proxy_fix import ProxyFix

from webhooks_app.core import text_display
from webhooks_app.web.middleware import forwarded_headers


class EncodedBody(UnsupportedMediaType):
    """A request body under a content coding; RFC 9110, 12.5.3: the answer says what is taken instead."""

    description = "A body with a Content-Encoding is not taken. Send it as it is."

    def get_headers(self, *args: Any, **options: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*args, **options), ("Accept-Encoding", "identity")]


class HoldsNul(BadRequest):
    """An address whose query has a NUL character in it."""

    def __init__(self, name: str) -> None:
        shown = text_display.flatten(name[:40])
        super().__init__(f"The field “{shown}” holds a NUL character, which nothing holds. Leave it out.")


def register(app: Flask, *, trusted_proxies: int) -> None:
    """Believe `X-Forwarded-For` and `X-Forwarded-Proto` of so many proxies in front, and of nobody else."""
    if trusted_proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=trusted_proxies, x_proto=trusted_proxies
        )
    app.before_request(forwarded_headers.warn_once())
    app.before_request(_refuse_other_encodings)
    app.before_request(_refuse_nul)
    app.before_request(_refuse_encoded_body)


class NotUtf8(BadRequest):
    """An address that is not UTF-8 once its escapes are resolved."""

    description = "The address is not in UTF-8. Escape its characters as UTF-8 (RFC 3986, section 2.5)."


def _refuse_other_encodings() -> None:
    """Answer 400: what is decoded in another way than it was meant would name, and find, something else."""
    try:
        request.environ["PATH_INFO"].encode("latin-1").decode()
        unquote_to_bytes(request.query_string).decode()
    except UnicodeError:
        raise NotUtf8 from None


def _refuse_nul() -> None:
    """Answer 404 or 400: nothing has a NUL in its address, and PostgreSQL takes none in a query.

    What a form holds is for its fields to refuse.
    """
    if "\0" in request.path:
        abort(404)
    for name, value in request.args.items(multi=True):
        if "\0" in value or "\0" in name:
            raise HoldsNul(name)


def _refuse_encoded_body() -> None:
    """Answer 415: bytes that are not what they stand for would be read as broken JSON or an empty form."""
    if request.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity"):
        raise EncodedBody
