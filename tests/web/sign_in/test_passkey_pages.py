"""Passkeys on the pages, with a device made of software; a browser's own is tried in tests/browser."""

import html
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import func, insert, select

from tests.accounts.soft_authenticator import SoftAuthenticator
from tests.conftest import PASSWORD, Workspace
from tests.reading import captured
from tests.web.accounts import actions, fresh
from tests.web.conftest import Page
from tests.web.sign_in.test_second_factor_page import turn_on
from tests.web.test_profile_page import sessions_of
from webhooks_app.accounts import passkeys
from webhooks_app.core import ids
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Passkey, SignInMethod
from webhooks_app.extensions import services

ORIGIN = "http://localhost:8000"


@pytest.fixture(autouse=True)
def named(app: Flask) -> None:
    """The console's address has a name, as passkeys need it."""
    services(app).settings = replace(services(app).settings, base_url=ORIGIN)
    services(app).__dict__.pop("relying_party", None)


@pytest.fixture
def device() -> SoftAuthenticator:
    return SoftAuthenticator(ORIGIN, "localhost")


def options_of(text: str) -> str:
    return html.unescape(captured(r'data-options="([^"]+)"', text))


def add(page: Page, home: str, device: SoftAuthenticator) -> str:
    """Add a passkey as a browser does; return what the page says then."""
    shown = page.post(f"{home}profile/passkeys/begin", {"current": PASSWORD})
    answer = device.create(options_of(shown.text))
    done = page.post(f"{home}profile/passkeys", {"name": "My phone", "answer": answer})
    return page.get(done.location).text


def log_in(page: Page, device: SoftAuthenticator, *, target: str = "/") -> int:
    answer = device.get(options_of(page.get("/login").text))
    done = page.post(f"/login/passkey?next={target}", {"answer": answer})
    assert done.location in (target, None)
    return done.status_code


def test_a_passkey_is_added_logs_in_and_is_removed(
    admin_page: Page,
    make_page: Callable[[str | None], Page],
    home: str,
    device: SoftAuthenticator,
    workspace: Workspace,
) -> None:
    assert "My phone" in add(admin_page, home, device)
    page = make_page(None)
    assert log_in(page, device, target=f"{home}tokens/") == 303
    assert page.get(f"{home}tokens/").status_code == 200
    assert SignInMethod.PASSKEY in {each.method for each in sessions_of(workspace.admin_email)}
    [passkey_id] = fresh(select(Passkey.id)).all()
    page.post(f"{home}profile/passkeys/{passkey_id}/remove")
    assert log_in(make_page(None), device) == 422
    assert {"passkey.add", "passkey.remove", "session.log_in"} <= set(actions())


def test_a_passkey_gets_another_name(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, device: SoftAuthenticator
) -> None:
    add(admin_page, home, device)
    [passkey_id] = fresh(select(Passkey.id)).all()
    url = f"{home}profile/passkeys/{passkey_id}/rename"
    done = admin_page.post(url, {"name": " Office key "})
    assert "The passkey is called “Office key” now." in admin_page.get(done.location).text
    assert fresh(select(Passkey.name)).all() == ["Office key"]
    assert "passkey.rename" in actions()

    for wrong, why in ((" ", "Enter a name."), ("x" * 101, "100 characters")):
        refused = admin_page.post(url, {"name": wrong})
        assert (refused.status_code, why in html.unescape(refused.text)) == (422, True), refused.text
    assert make_page(None).post(url, {"name": "x"}).status_code == 302
    assert admin_page.post(url, {"name": "x"}, csrf=False).status_code == 400
    assert admin_page.post(f"{home}profile/passkeys/psk_x/rename", {"name": "x"}).status_code == 404
    assert fresh(select(Passkey.name)).all() == ["Office key"]
    assert log_in(make_page(None), device) == 303


def test_nobody_renames_or_removes_anothers(
    admin_page: Page, viewer_page: Page, home: str, device: SoftAuthenticator
) -> None:
    add(admin_page, home, device)
    [passkey_id] = fresh(select(Passkey.id)).all()
    for action in ("rename", "remove"):
        url = f"{home}profile/passkeys/{passkey_id}/{action}"
        assert viewer_page.post(url, {"name": "Mine"}).status_code == 404
    assert fresh(select(Passkey.name)).all() == ["My phone"]


def test_it_stands_for_the_second_factor(
    admin_page: Page,
    make_page: Callable[[str | None], Page],
    home: str,
    device: SoftAuthenticator,
    app: Flask,
) -> None:
    turn_on(admin_page, home)
    add(admin_page, home, device)
    services(app).settings = replace(services(app).settings, requires_second_factor=True)
    page = make_page(None)
    assert log_in(page, device) == 303
    assert page.get(f"{home}tokens/").status_code == 200


def test_adding_one_takes_the_password(admin_page: Page, home: str, device: SoftAuthenticator) -> None:
    refused = admin_page.post(f"{home}profile/passkeys/begin", {"current": "wrong"})
    assert "This is not your current password." in admin_page.get(refused.location).text
    # What the log-in page asks is no leave to add one.
    answer = device.create(options_of(admin_page.get("/login").text))
    admin_page.post(f"{home}profile/passkeys", {"name": "x", "answer": answer})
    assert fresh(select(func.count(Passkey.id))).one() == 0


def test_what_was_asked_of_another_browser_is_no_answer(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, device: SoftAuthenticator
) -> None:
    add(admin_page, home, device)
    victim, thief = make_page(None), make_page(None)
    answer = device.get(options_of(victim.get("/login").text))
    assert thief.post("/login/passkey", {"answer": answer}).status_code == 422
    assert victim.post("/login/passkey", {"answer": answer}).status_code == 303
    assert victim.post("/login/passkey", {"answer": answer}).status_code == 422


def test_what_is_no_answer_is_a_sentence(
    admin_page: Page, anonymous_page: Page, home: str, device: SoftAuthenticator
) -> None:
    for answer in ("", "{}", "x" * 40_000):
        refused = anonymous_page.post("/login/passkey", {"answer": answer})
        assert (refused.status_code, "This passkey is not known here" in refused.text) == (422, True)
    assert (
        "was not added"
        in admin_page.get(
            admin_page.post(f"{home}profile/passkeys", {"name": "x", "answer": "{}"}).location
        ).text
    )


def test_only_an_answer_to_what_was_asked_is_asked_again(
    admin_page: Page, home: str, device: SoftAuthenticator
) -> None:
    """The options let a passkey be added without the password, which only the page before asks for."""
    for_log_in = device.create(options_of(admin_page.get("/login").text))
    for answer in ("", "{}", for_log_in, "x" * 40_000):
        for name in ("", "x"):
            refused = admin_page.post(f"{home}profile/passkeys", {"name": name, "answer": answer})
            assert (refused.status_code, "challenge" in refused.text) == (303, False)
    shown = admin_page.post(f"{home}profile/passkeys/begin", {"current": PASSWORD})
    answer = device.create(options_of(shown.text))
    again = admin_page.post(f"{home}profile/passkeys", {"name": "", "answer": answer})
    assert again.status_code == 422
    answer = device.create(options_of(again.text))
    admin_page.post(f"{home}profile/passkeys", {"name": "My phone", "answer": answer})
    assert fresh(select(Passkey.name)).all() == ["My phone"]


def test_a_refused_passkey_is_in_the_audit_log(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, device: SoftAuthenticator
) -> None:
    add(admin_page, home, device)
    assert log_in(make_page(None), replace(device, credential_id=b"another")) == 422
    assert "passkey.refuse" not in actions()
    other_key = SoftAuthenticator(ORIGIN, "localhost")
    assert log_in(make_page(None), other_key) == 422
    assert "failed to log in with a passkey" in admin_page.get(f"{home}audit/").text
    assert actions()[-2:] == ["passkey.refuse"] * 2  # the account's, and the workspace's


def test_nobody_removes_the_passkey_of_somebody_else(
    admin_page: Page, viewer_page: Page, home: str, device: SoftAuthenticator
) -> None:
    add(admin_page, home, device)
    [passkey_id] = fresh(select(Passkey.id)).all()
    assert viewer_page.post(f"{home}profile/passkeys/{passkey_id}/remove").status_code == 404
    assert viewer_page.post(f"{home}profile/passkeys/none/remove").status_code == 404
    assert fresh(select(func.count(Passkey.id))).one() == 1


@pytest.mark.parametrize(
    "changed", [{"base_url": "http://127.0.0.1:8000"}, {"password_log_in": False}], ids=str
)
def test_where_there_can_be_none_nothing_asks_for_one(
    admin_page: Page, anonymous_page: Page, home: str, app: Flask, changed: dict[str, object]
) -> None:
    services(app).settings = replace(services(app).settings, **changed)  # type: ignore[arg-type]
    services(app).__dict__.pop("relying_party", None)
    assert "data-passkey" not in anonymous_page.get("/login").text
    assert anonymous_page.post("/login/passkey", {"answer": "{}"}).status_code == 404
    assert admin_page.post(f"{home}profile/passkeys/begin", {"current": PASSWORD}).status_code == 404


def test_so_many_and_no_more(
    admin_page: Page, home: str, device: SoftAuthenticator, database: WriteDatabase
) -> None:
    add(admin_page, home, device)
    [first] = fresh(select(Passkey)).all()
    kept = {"user_id": first.user_id, "public_key": b"", "sign_count": 0, "created_at": first.created_at}
    others = [
        {**kept, "id": ids.new("psk"), "credential_id": f"other{number:03}", "name": "Other"}
        for number in range(passkeys.MOST - 1)
    ]
    with database.begin() as connection:
        connection.execute(insert(Passkey), others)
    refused = add(admin_page, home, replace(device, credential_id=b"another"))
    assert f"You have {passkeys.MOST} passkeys. Remove one first." in refused
