"""What a provider must not get through with, whoever stands in its place."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from joserfc.jwk import RSAKey
from sqlalchemy import func, select

from tests.receivers import Answer, Receiver
from tests.waiting import wait_for
from tests.web.accounts import fresh
from tests.web.conftest import Page
from tests.web.sign_in.lying_provider import (
    Lie,
    LyingProvider,
    signed_by_another,
    signed_with_the_secret,
    unsigned,
)
from tests.web.sign_in.test_single_sign_on_page import START, set_up
from webhooks_app.db.models import User
from webhooks_app.extensions import services

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def liar(receiver: Receiver, app: Flask) -> LyingProvider:
    provider = LyingProvider(receiver)
    set_up(app, provider.issuer)
    return provider


def come_back(page: Page, liar: LyingProvider, **changed: str) -> int:
    return page.get(liar.come_back(page.get(START).location, **changed)).status_code


def test_one_that_tells_the_truth_lets_in(liar: LyingProvider, anonymous_page: Page) -> None:
    assert come_back(anonymous_page, liar, iss=liar.issuer) == 303


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": ["avra", "another"], "azp": "another"},
        {"aud": "another", "azp": "avra"},
        {"aud": None},
        {"iss": "https://another.example"},
        {"iss": None},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"iat": 4_000_000_000, "nbf": 4_000_000_000},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"at_hash": "x"},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_refused(
    liar: LyingProvider, anonymous_page: Page, claims: dict[str, Any]
) -> None:
    liar.claims = claims
    assert come_back(anonymous_page, liar) == 403
    assert fresh(select(func.count(User.id)).where(User.email == "ada@example.com")).one() == 0
    assert anonymous_page.get("/").location == "/login"


@pytest.mark.parametrize(
    "sign",
    [
        unsigned,
        signed_with_the_secret,
        signed_by_another,
        lambda *_: "",
        lambda *_: "a.b.c",
        lambda *_: "é",
    ],
)
def test_a_token_that_it_did_not_sign_is_refused(
    liar: LyingProvider, anonymous_page: Page, sign: Lie
) -> None:
    liar.sign = sign
    assert come_back(anonymous_page, liar) == 403


@pytest.mark.parametrize(
    "arguments",
    [
        {"state": "another"},
        {"state": ""},
        {"state": "%C3%A9"},
        {"code": ""},
        {"error": "x"},
        {"iss": "https://e"},
    ],
    ids=str,
)
def test_a_way_back_that_does_not_fit_is_refused(
    liar: LyingProvider, anonymous_page: Page, arguments: dict[str, str]
) -> None:
    assert come_back(anonymous_page, liar, **arguments) == 403
    assert "/token" not in liar.asked


def test_another_process_ends_what_one_has_begun(
    liar: LyingProvider, anonymous_page: Page, app: Flask
) -> None:
    """It has asked the provider nothing so far, and learns first how the client shows its secret."""
    liar.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    path = liar.come_back(anonymous_page.get(START).location)
    services(app).__dict__.pop("sign_in_provider")
    assert anonymous_page.get(path).status_code == 303
    assert b"client_secret=" in liar.bodies["/token"]


def test_a_new_key_is_looked_for_at_once(
    liar: LyingProvider, make_page: Callable[[str | None], Page]
) -> None:
    assert come_back(make_page(None), liar) == 303
    liar.key = RSAKey.generate_key(2048, {"kid": "second"})
    liar.published = [liar.key]
    assert come_back(make_page(None), liar) == 303
    assert liar.asked.count("/jwks") == 2


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://another.example"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "http://elsewhere.example/"},
        {"jwks_uri": None},
        {"jwks_uri": "file:///etc/passwd"},
    ],
    ids=str,
)
def test_a_provider_that_says_nonsense_of_itself_is_away(
    liar: LyingProvider, anonymous_page: Page, metadata: dict[str, Any]
) -> None:
    liar.metadata = metadata
    assert anonymous_page.get(START).status_code == 503


@pytest.mark.parametrize(
    "answer",
    [Answer(500), Answer(302, b"", {"location": "http://127.0.0.1/"}), Answer(200, b"{"), Answer(200, b"[]")],
    ids=str,
)
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token"])
def test_an_answer_that_is_none_is_a_sentence(
    liar: LyingProvider, anonymous_page: Page, path: str, answer: Answer
) -> None:
    liar.answers[path] = answer
    started = anonymous_page.get(START)
    if path == "/token":
        assert anonymous_page.get(liar.come_back(started.location)).status_code in (403, 503)
    else:
        assert started.status_code == 503


def test_one_that_failed_is_not_asked_again_at_once(liar: LyingProvider, anonymous_page: Page) -> None:
    liar.answers["/jwks"] = Answer(500)
    for _ in range(3):
        assert anonymous_page.get(START).status_code == 503
    assert liar.asked.count("/jwks") == 1


def test_one_that_hangs_holds_few_threads(liar: LyingProvider, app: Flask) -> None:
    provider = services(app).sign_in_provider
    assert provider is not None
    release = threading.Event()
    liar.answers["/jwks"] = Answer(500)
    liar.hang = release

    def start(_: int) -> int:
        with app.app_context():
            return Page(app, "/").get(START).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = [pool.submit(start, number) for number in range(6)]
        wait_for(lambda: sum(each.done() for each in statuses) >= 6 - provider.places)
        release.set()
        assert [each.result() for each in statuses] == [503] * 6
    assert liar.asked.count("/.well-known/openid-configuration") <= provider.places


@pytest.mark.parametrize(
    ("endpoint", "link"),
    [
        ("{issuer}/end?x=1", "{issuer}/end?x=1&amp;client_id=avra"),
        ("https://login.example.com/end", "https://login.example.com/end?client_id=avra"),
        ("javascript:alert(1)", None),
        (None, None),
    ],
)
def test_whoever_logs_out_is_shown_the_way_out_of_the_provider(
    liar: LyingProvider, anonymous_page: Page, endpoint: str | None, link: str | None
) -> None:
    liar.metadata = {"end_session_endpoint": endpoint.format(issuer=liar.issuer)} if endpoint else {}
    assert come_back(anonymous_page, liar) == 303
    ended = anonymous_page.get(anonymous_page.post("/logout").location).text
    assert ("Log out there, too" in ended) == (link is not None)
    if link:
        assert f'href="{link.format(issuer=liar.issuer)}"' in ended
    assert "Log out there, too" not in anonymous_page.get("/login").text


def test_an_answer_without_end_is_cut(liar: LyingProvider, anonymous_page: Page) -> None:
    liar.answers["/jwks"] = Answer(200, b"x" * (2 * 1024 * 1024))
    assert anonymous_page.get(START).status_code == 503


def test_what_it_says_of_somebody_else_is_refused(liar: LyingProvider, anonymous_page: Page) -> None:
    liar.metadata = {"userinfo_endpoint": f"{liar.issuer}/userinfo"}
    liar.answers["/userinfo"] = Answer(200, b'{"sub": "eve", "email": "eve@example.com"}')
    assert come_back(anonymous_page, liar) == 403
