"""What commands see of the API: answers, and sentences where there is none."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.receivers import Answer, Received, Receiver
from webhooks_app.cli import api_client, row_output
from webhooks_app.cli.api_answers import ApiFailure
from webhooks_app.cli.api_client import ApiClient, ClientLimits
from webhooks_app.cli.api_command import ApiCommand, with_client
from webhooks_app.cli.profiles import Profile

IMPATIENT = ClientLimits(connect_seconds=60, read_seconds=60, tries=3, first_pause_seconds=0.001)


@pytest.fixture
def platform() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def client_of(platform: Receiver) -> ApiClient:
    return ApiClient(Profile("test", f"http://127.0.0.1:{platform.port}/under", "tok_x"), IMPATIENT)


def problem(status: int, **headers: str) -> Answer:
    body = {"title": "x", "status": status, "detail": "Not so.", "code": "invalid", "field": "url"}
    return Answer(status, json.dumps(body).encode(), headers)


def in_turn(*answers: Answer) -> Callable[[Received], Answer]:
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def test_a_request_says_who_sends_it_and_comes_back_as_json(
    platform: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    platform.answer = Answer(201, b'{"id": 1}', {"ETag": '"5"'})
    path = f"/endpoints/by-name/{api_client.segment('a/ü?')}"

    answer = client_of(platform).request("PUT", path, body={"url": "x"}, query={"a": "b c"})

    assert (answer.status, answer.body, answer.etag) == (201, {"id": 1}, '"5"')
    [got] = platform.received
    assert (got.method, got.path) == ("PUT", "/under/api/v1/endpoints/by-name/a%2F%C3%BC%3F?a=b+c")
    assert got.headers["authorization"] == "Bearer tok_x"
    assert got.headers["content-type"] == "application/json"
    assert json.loads(got.body) == {"url": "x"}


def test_a_list_is_read_page_by_page(platform: Receiver) -> None:
    pages = [{"data": [{"n": 1}, {"n": 2}], "next": "c"}, {"data": [{"n": 3}], "next": None}]
    platform.answer = in_turn(*(Answer(200, json.dumps(page).encode()) for page in pages))

    assert [each["n"] for each in client_of(platform).each("/things", {"state": "on"})] == [1, 2, 3]
    assert [each.path.partition("?")[2] for each in platform.received] == [
        "limit=100&state=on",
        "limit=100&state=on&cursor=c",
    ]


@pytest.mark.parametrize(
    ("method", "status", "tries"),
    [
        ("GET", 502, 3),
        ("PUT", 504, 3),
        ("DELETE", 429, 3),
        ("POST", 429, 3),  # nothing was begun with
        ("POST", 503, 3),
        ("POST", 502, 1),  # it may have been done
        ("GET", 500, 1),
        ("GET", 404, 1),
    ],
)
def test_what_is_safe_is_tried_again(platform: Receiver, method: str, status: int, tries: int) -> None:
    platform.answer = problem(status)
    with pytest.raises(ApiFailure) as caught:
        client_of(platform).request(method, "/x")
    assert len(platform.received) == tries
    assert caught.value.status == status


def test_a_platform_that_comes_back_is_not_noticed(platform: Receiver) -> None:
    platform.answer = in_turn(problem(503), Answer(200, b"{}"))
    assert client_of(platform).request("GET", "/x").body == {}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"detail": "Not so.", "code": "invalid", "field": "url"}, "url: Not so."),
        ({"error": {"message": "Not so.", "code": "invalid", "field": None}}, "Not so."),
        ({"error": {"message": "Not \x1b[2Jso.", "code": "invalid", "field": None}}, "Not \\x1b[2Jso."),
        ({"error": "Not so."}, "is not the platform's API"),
        ("<html>", "is not the platform's API"),
    ],
)
def test_a_refusal_is_a_sentence(platform: Receiver, body: Any, words: str) -> None:
    raw = body if isinstance(body, str) else json.dumps(body)
    platform.answer = Answer(422, raw.encode())
    with pytest.raises(ApiFailure) as caught:
        client_of(platform).request("PUT", "/x")
    assert words in str(caught.value)


def test_a_token_is_sent_nowhere_else(platform: Receiver) -> None:
    platform.answer = Answer(302, b"", {"Location": f"{platform.url}/elsewhere"})
    with pytest.raises(ApiFailure, match="leads elsewhere"):
        client_of(platform).request("GET", "/x")
    assert len(platform.received) == 1


# A command made of these parts, as the real ones are.
@click.command(cls=ApiCommand)
@with_client
@row_output.as_json
def show(client: ApiClient, is_json: bool) -> None:
    click.echo(client.request("POST", "/x").body)


@pytest.mark.parametrize(("status", "exit_code"), [(401, 77), (403, 77), (422, 65), (500, 69)])
def test_a_failed_command_ends_with_a_status_that_says_why(
    platform: Receiver, status: int, exit_code: int
) -> None:
    platform.answer = problem(status)
    result = run([], platform.port)
    assert (result.exit_code, result.stderr) == (exit_code, "error: url: Not so.\n")

    result = run(["--json"], platform.port)
    assert result.exit_code == exit_code
    error = {"code": "invalid", "message": "Not so.", "field": "url", "status": status}
    assert json.loads(result.stderr) == {"error": error}


@pytest.mark.parametrize(
    ("url", "arguments", "warns"),
    [
        ("http://webhooks.invalid:1", [], True),
        ("http://webhooks.invalid:1", ["--json"], False),
        ("https://webhooks.invalid:1", [], False),
        ("http://127.9.9.9:1", [], False),
        ("http://[::1]:1", [], False),
        ("http://avra.localhost:1", [], False),
    ],
)
def test_a_token_that_leaves_the_machine_unencrypted_is_warned_of_once(
    url: str, arguments: list[str], warns: bool
) -> None:
    result = CliRunner().invoke(show, arguments, env={"AVRA_URL": url, "AVRA_TOKEN": "tok_x"})
    assert result.stderr.count("warning: http://webhooks.invalid:1 is no https") == warns
    assert result.exit_code == 69


def test_where_nobody_answers_the_address_is_named() -> None:
    with socket.socket() as bound:  # but not listening
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        result = run([], port)
    assert result.exit_code == 69
    assert f"http://127.0.0.1:{port} does not answer" in result.stderr


def test_https_where_http_is_spoken_is_said(platform: Receiver) -> None:
    env = {"AVRA_URL": f"https://127.0.0.1:{platform.port}", "AVRA_TOKEN": "tok_x"}
    assert "it speaks no TLS; is it http://?\n" in CliRunner().invoke(show, [], env=env).stderr


def test_wrong_use_is_told_from_changes() -> None:
    assert run(["--none"], 1).exit_code == 64
    assert run(["--help"], 1).exit_code == 0


def run(arguments: list[str], port: int) -> Any:
    env = {"AVRA_URL": f"http://127.0.0.1:{port}", "AVRA_TOKEN": "tok_x"}
    return CliRunner(env=env).invoke(show, arguments)
