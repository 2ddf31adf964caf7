"""Each answer has an id, and each request its line where lines are asked for; neither tells a secret."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
import requests
from flask import Flask

from tests.conftest import Workspace
from tests.server.running_server import PATIENT, serving
from tests.waiting import wait_for
from tests.web.api.conftest import new_api
from webhooks_app.extensions import services
from webhooks_app.server import access_log
from webhooks_app.server.access_log import client_of, mask_path
from webhooks_app.server.event_intake import EventIntake, answer_headers
from webhooks_app.server.server_limits import ServerLimits
from webhooks_app.web.middleware import logged_ids, request_ids

EVENT = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}
NEW = re.compile(r"[0-9a-f]{32}")

only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@dataclass
class Web:
    url: str
    lines: list[logging.LogRecord]

    def line(self) -> logging.LogRecord:
        """The line of the only request."""
        wait_for(lambda: self.lines)
        [record] = self.lines
        return record


@contextmanager
def web(app: Flask, *, trusted_proxies: int = 0, limits: ServerLimits = PATIENT) -> Iterator[Web]:
    intake = EventIntake(
        services(app).group_commit,
        services(app).catalog,
        headers=answer_headers(app),
        is_behind_proxies=trusted_proxies > 0,
    )
    handler = Lines()
    access_log.log.addHandler(handler)
    try:
        with serving(
            app, limits, intake=intake, trusted_proxies=trusted_proxies, has_access_log=True
        ) as running:
            yield Web(f"http://127.0.0.1:{running.port}", handler.records)
    finally:
        access_log.log.removeHandler(handler)


@only_sqlite
@pytest.mark.parametrize("path", ["/livez", "/no/such/page", "/api/v1/event-types", "/static/favicon.svg"])
def test_every_answer_has_a_new_id_and_a_line_with_it(app: Flask, path: str) -> None:
    with web(app) as running:
        answer = requests.get(running.url + path, headers={"X-Request-ID": "theirs"}, timeout=30)
        record = vars(running.line())

    assert NEW.fullmatch(answer.headers["X-Request-ID"])
    assert record["request_id"] == answer.headers["X-Request-ID"]
    assert (record["method"], record["path"], record["status"]) == ("GET", path, answer.status_code)
    assert record["client"] == "127.0.0.1"
    assert record["bytes"] > 0
    assert record["duration_ms"] >= 0


@only_sqlite
@pytest.mark.parametrize("is_ordinary", [True, False], ids=["the fast path", "by Flask"])
def test_an_event_is_answered_under_the_id_of_a_trusted_proxy(
    app: Flask, workspace: Workspace, is_ordinary: bool
) -> None:
    headers = workspace.headers | {"X-Request-ID": "proxy-1"} | ({} if is_ordinary else {"X-Unusual": "1"})
    for trusted, expected in ((1, re.compile("proxy-1")), (0, NEW)):
        with web(app, trusted_proxies=trusted) as running:
            answer = requests.post(f"{running.url}/api/v1/events", json=EVENT, headers=headers, timeout=30)
            assert answer.status_code == 202
            assert expected.fullmatch(answer.headers["X-Request-ID"])
            assert vars(running.line())["request_id"] == answer.headers["X-Request-ID"]


@only_sqlite
@pytest.mark.parametrize("is_ordinary", [True, False], ids=["the fast path", "by Flask"])
def test_the_line_of_an_event_names_it(app: Flask, workspace: Workspace, is_ordinary: bool) -> None:
    headers = workspace.headers | ({} if is_ordinary else {"X-Unusual": "1"})
    with web(app) as running:
        answer = requests.post(f"{running.url}/api/v1/events", json=EVENT, headers=headers, timeout=30)
        record = vars(running.line())

    assert record["event_id"] == answer.json()["id"]
    assert "events" not in record


@only_sqlite
def test_the_line_of_a_batch_names_its_first_event_and_how_many_they_are(
    app: Flask, workspace: Workspace
) -> None:
    url = "/api/v1/events/batch"
    with web(app) as running:
        sent = {"events": [EVENT] * 3}
        answer = requests.post(running.url + url, json=sent, headers=workspace.headers, timeout=30)
        record = vars(running.line())

    assert (record["event_id"], record["events"]) == (answer.json()["events"][0]["id"], 3)


@only_sqlite
def test_the_line_of_what_is_read_or_made_names_it(app: Flask, workspace: Workspace) -> None:
    """By its path, by the key that it was found by, or by where its answer leads."""
    headers = workspace.headers
    with web(app) as running:
        requests.post(
            f"{running.url}/api/v1/events",
            json=EVENT,
            headers=headers | {"Idempotency-Key": "k1"},
            timeout=30,
        )
        event_id = vars(running.line())["event_id"]
    with web(app) as running:
        requests.get(f"{running.url}/api/v1/events/by-key/k1", headers=headers, timeout=30)
        assert vars(running.line())["event_id"] == event_id
    robot = {"Authorization": f"Bearer {new_api(workspace).token}"}
    new = {"url": "https://hooks.example.com", "all_events": True}
    with web(app) as running:
        made = requests.post(f"{running.url}/api/v1/endpoints", json=new, headers=robot, timeout=30)
        endpoint_id = vars(running.line())["endpoint_id"]
    assert (made.status_code, endpoint_id) == (201, made.json()["id"])
    with web(app) as running:
        url, sent = f"{running.url}/api/v1/endpoints/{endpoint_id}/test", {"type": EVENT["type"]}
        tested = requests.post(url, json=sent, headers=robot, timeout=30)
        record = vars(running.line())
    assert (tested.status_code, record["endpoint_id"]) == (202, endpoint_id)
    assert record["delivery_id"] == tested.json()["delivery_id"]


DELIVERY, ENDPOINT = "dlv_" + "0" * 26, "ep_" + "v" * 26


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (f"/api/v1/deliveries/{DELIVERY}/replay", {"delivery_id": DELIVERY}),
        (
            f"/w/ws_1/endpoints/{ENDPOINT}/test/{DELIVERY}",
            {"endpoint_id": ENDPOINT, "delivery_id": DELIVERY},
        ),
        (f"/w/ws_1/endpoints/{ENDPOINT}x", {}),
        ("/w/ws_1/endpoints/ep_forged status=200", {}),
    ],
)
def test_a_path_names_what_the_request_is_about(path: str, named: dict[str, str]) -> None:
    assert logged_ids.of_path(path) == named


@only_sqlite
def test_what_the_server_itself_refuses_has_an_id_and_a_line(app: Flask) -> None:
    with web(app, limits=replace(PATIENT, discard_seconds=600.0)) as running:
        answer = requests.post(f"{running.url}/login", data=b"x" * 5_000_000, timeout=30)
        record = vars(running.line())

    assert (answer.status_code, record["status"]) == (413, 413)
    assert record["request_id"] == answer.headers["X-Request-ID"]


@only_sqlite
def test_nothing_secret_is_in_a_line(app: Flask) -> None:
    with web(app) as running:
        requests.get(f"{running.url}/login?next=/s3cret", headers={"Cookie": "session=s3cret"}, timeout=30)
        record = vars(running.line())

    assert "s3cret" not in str(record)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/invitations/s3cret", "/invitations/••••••••"),
        ("/login/link/s3cret", "/login/link/••••••••"),
        ("/hooks/password-reset/s3cret", "/hooks/password-reset/••••••••"),
        ("/password-reset/", "/password-reset/"),
        ("/w/ws_1/members/", "/w/ws_1/members/"),
    ],
)
def test_links_that_let_somebody_in_are_masked(path: str, shown: str) -> None:
    assert mask_path(path) == shown


@only_sqlite
def test_every_open_page_with_a_secret_in_its_address_is_masked(app: Flask) -> None:
    """The guarded ones have ids in theirs; of the open ones these two show what everybody may see."""
    public = {"static", "documents.show"}
    rules = [rule for rule in app.url_map.iter_rules() if not rule.rule.startswith(("/w/", "/api/"))]
    secret = {rule.rule for rule in rules if rule.arguments and rule.endpoint not in public}
    assert len(secret) == 3
    for rule in secret:
        assert "s3cret" not in mask_path(re.sub("<[^>]+>", "s3cret", rule)), rule


@pytest.mark.parametrize(
    ("trusted", "header", "client"),
    [(0, b"6.6.6.6", "127.0.0.1"), (1, b"6.6.6.6, 1.2.3.4", "1.2.3.4"), (2, b"1.2.3.4, 5.6.7.8", "1.2.3.4")],
)
def test_the_client_is_whom_trusted_proxies_name(trusted: int, header: bytes, client: str) -> None:
    scope = {"client": ("127.0.0.1", 1), "headers": [(b"x-forwarded-for", header)]}
    assert client_of(scope, trusted) == client
    assert client_of(scope | {"headers": []}, trusted) == "127.0.0.1"


@pytest.mark.parametrize("claimed", ["", " ", "a b", "é", "x" * 129, "a\nb", None])
def test_an_id_that_could_forge_or_flood_a_log_is_replaced(claimed: str | None) -> None:
    assert NEW.fullmatch(request_ids.choose(claimed, is_behind_proxies=True))


def test_an_id_as_proxies_make_them_is_taken() -> None:
    for claimed in ("a" * 32, "7f3e2a10-0d3c-4b5e", "Root=1-67891233-abcdef012345678912345678"):
        assert request_ids.choose(claimed, is_behind_proxies=True) == claimed
        assert request_ids.choose(claimed, is_behind_proxies=False) != claimed
