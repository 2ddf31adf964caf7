"""The environment of a WSGI application (PEP 3333), from an ASGI request's scope and body."""

import sys
from collections import Counter
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from webhooks_app.web.api.event_input import REPEATED_KEY

Scope = dict[str, Any]


def environ_of(scope: Scope, body: bytes) -> dict[str, Any]:
    """Return the WSGI environment (PEP 3333) of an ASGI scope.

    Headers whose names hold an underscore are left out, as WSGI could not tell them from those with a hyphen.
    """
    host, port = scope["server"] or ("localhost", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 0),
        "REMOTE_ADDR": scope["client"][0] if scope["client"] else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        if b"_" not in raw_name:
            _add_header(environ, raw_name.decode("latin-1").upper(), raw_value.decode("latin-1"))
    environ["CONTENT_LENGTH"] = str(len(body))
    counts = Counter(raw_name for raw_name, _ in scope["headers"])
    environ[REPEATED_KEY] = {name.decode("latin-1") for name, count in counts.items() if count > 1}
    return environ


def _add_header(environ: dict[str, Any], name: str, value: str) -> None:
    key = name.replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = "HTTP_" + key
    if key in environ:
        value = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + value
    environ[key] = value
