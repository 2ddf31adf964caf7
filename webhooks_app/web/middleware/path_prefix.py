"""The path of WEBHOOKS_BASE_URL, under which a proxy shows the console and the API."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

from webhooks_app.config import ConfigError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class PathPrefix:
    """Names the prefix to the application (SCRIPT_NAME of WSGI, PEP 3333), so that each link has it.

    The prefix is taken off a path that has it, as one that a proxy passes on as it came; one that the proxy
    has taken it off, and one that was sent to this web itself, are the same without.
    """

    def __init__(self, app: "WSGIApplication", prefix: str) -> None:
        self._app, self._prefix = app, prefix

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == self._prefix or path.startswith(self._prefix + "/"):
            environ["PATH_INFO"] = path.removeprefix(self._prefix) or "/"
        environ["SCRIPT_NAME"] = self._prefix
        return self._app(environ, start_response)


def register(app: Flask, prefix: str) -> None:
    """Serve the application under the prefix, if there is one. Raises ConfigError for a path of its own."""
    if not prefix:
        return
    own = [rule.rule for rule in app.url_map.iter_rules()]
    if any(rule == prefix or rule.startswith(prefix + "/") for rule in own):
        raise ConfigError(
            f"WEBHOOKS_BASE_URL must not have the path {prefix}, under which the console itself has pages."
        )
    app.wsgi_app = PathPrefix(app.wsgi_app, prefix)  # type: ignore[method-assign]
