"""A program that listens, as the tests of the API have one."""

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import update

from tests.reading import json_of
from tests.web.api.conftest import Api
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Listener

FORWARD_TO = "http://localhost:3000/hooks"


@dataclass
class Listening:
    """A listener in the hands of a program; `started` is what the platform said when it began."""

    api: Api
    started: dict[str, Any]
    path: str = field(init=False)

    def __post_init__(self) -> None:
        self.path = f"/listeners/{self.started['id']}"

    def claim(self, limit: int = 10) -> list[dict[str, Any]]:
        answer = self.api.call(
            "POST", f"{self.path}/claims", {"session": self.started["session"], "limit": limit}
        )
        assert answer.status_code == 200, answer.text
        requests: list[dict[str, Any]] = json_of(answer)["data"]
        return requests

    def report(self, request: dict[str, Any], status: int | None = 200, **more: Any) -> dict[str, Any]:
        answer = self.api.call("POST", f"{self.path}/attempts", report_of(request, status, **more))
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = json_of(answer)
        return result

    def end(self) -> int:
        canceled: int = json_of(self.api.call("DELETE", self.path))["canceled"]
        return canceled

    def refusal(self) -> tuple[int, str, str | None]:
        """Return why it gets no requests."""
        return self.api.refusal("POST", f"{self.path}/claims", {"session": self.started["session"]})


def report_of(request: dict[str, Any], status: int | None = 200, **more: Any) -> dict[str, Any]:
    """Return the report of an answer with this status and a short body."""
    answered = {"status": status, "response_body_base64": b64encode(b"done").decode()} if status else {}
    named = {"delivery_id": request["delivery_id"], "claim": request["claim"], "target": FORWARD_TO}
    return named | answered | {"total_us": 12_000} | more


def listen(api: Api, name: str = "laptop", **more: Any) -> Listening:
    answer = api.call("POST", "/listeners", {"name": name, "forward_to": FORWARD_TO} | more)
    assert answer.status_code in (200, 201), answer.text
    return Listening(api, json_of(answer))


def fall_silent(database: WriteDatabase) -> None:
    """Let the time pass in which the listeners' programs have to ask."""
    with database.begin() as connection:
        connection.execute(update(Listener).values(ends_at=clock.now() - timedelta(seconds=1)))
