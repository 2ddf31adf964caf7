"""Somebody with a file of endpoints, a token, and a platform that runs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from click.testing import CliRunner, Result

from tests.reading import json_of
from tests.web.api.conftest import Api
from webhooks_app.cli.main import main

FILE = """\
version: 1
endpoints:
  Billing:
    url: https://billing.example.com/hooks
    event_types: [batch-lifecycle]
    headers:
      Authorization: Bearer ${BILLING_TOKEN}
  Audit:
    url: https://audit.example.com/in?key=${AUDIT_KEY}
    all_events: true
    timeout_seconds: 10
"""
SECRETS = {"BILLING_TOKEN": "b1lling-s3cret", "AUDIT_KEY": "aud1t-s3cret"}


@dataclass
class Operator:
    """Somebody with a file, a token, and a platform somewhere."""

    folder: Path
    env: dict[str, str]
    api: Api
    # By the name of an endpoint, what happens once when the platform is asked to put it.
    before_put: dict[str, Callable[[WSGIEnvironment], None]] = field(default_factory=dict)
    # The same when it is asked who has the name.
    before_get: dict[str, Callable[[WSGIEnvironment], object]] = field(default_factory=dict)

    asked: list[str] = field(default_factory=list)

    def platform(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the application does."""
        self.asked.append(environ["PATH_INFO"])
        name = environ["PATH_INFO"].rpartition("/")[2]
        if environ["REQUEST_METHOD"] == "PUT" and name in self.before_put:
            with self.api.app.app_context():
                self.before_put.pop(name)(environ)
        if environ["REQUEST_METHOD"] == "GET" and name in self.before_get:
            with self.api.app.app_context():
                self.before_get.pop(name)(environ)
        return self.api.app(environ, start_response)

    def write(self, text: str, name: str = "endpoints.yaml") -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def run(self, *arguments: str, **env: str) -> Result:
        result = CliRunner(env=self.env | env).invoke(main, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        for secret in SECRETS.values():
            assert secret not in result.output
        return result

    def apply(self, text: str, *options: str, exit_code: int = 0) -> str:
        result = self.run("apply", self.write(text), *options)
        assert result.exit_code == exit_code, result.output
        return result.output

    def endpoints(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in json_of(self.api.get("/endpoints"))["data"]}
