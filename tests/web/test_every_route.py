"""What holds for every route, tried on the route map itself, so that a new route cannot forget it."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import insert, select, text
from werkzeug.routing import Rule

from tests.conftest import PASSWORD, TESTER, Workspace
from tests.web.conftest import FRAGMENT_HEADERS, Page
from webhooks_app.accounts import api_tokens, log_in_links, members, password_resets, sessions, users
from webhooks_app.accounts.sessions import Browser
from webhooks_app.core import clock, ids
from webhooks_app.core.mail import MailServer
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    ApiToken,
    Delivery,
    Invitation,
    Passkey,
    Role,
    SigningSecret,
    SignInMethod,
    User,
    UserSession,
)
from webhooks_app.db.models.base import Base
from webhooks_app.deliveries import recoveries
from webhooks_app.deliveries.log import saved_filters
from webhooks_app.deliveries.log.filters import LogFilter, Status
from webhooks_app.extensions import db, services

# What a route's parameters stand for; a new one needs an entry in `World.ids`.
WORKSPACE = "/w/<workspace_id>"
# A person's own account is theirs whatever their role is.
OWN_ACCOUNT = "profile."
MAIL_SERVER = MailServer("127.0.0.1", 9, "hooks@example.com")
# It is for whoever sends a grant in the body, which no browser adds by itself.
WITHOUT_COOKIE = "signed_deliveries.sign"
METRICS_TOKEN = "0123456789abcdef"
BEARER = {"Authorization": f"Bearer {METRICS_TOKEN}"}

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class World:
    """One row of everything in a workspace, for the routes' parameters."""

    def __init__(self, app: Flask, workspace: Workspace, database: WriteDatabase) -> None:
        self.app, self.workspace = app, workspace
        found = services(app)
        operators = frozenset({workspace.admin_email})
        found.settings = replace(
            found.settings, operators=operators, metrics_token=METRICS_TOKEN, mail_server=MAIL_SERVER
        )
        endpoint_id = workspace.endpoint("https://a.example.com/")
        workspace.send()
        with database.begin() as connection:
            connection.execute(text("DELETE FROM pending_deliveries"))
            connection.execute(
                text(
                    "UPDATE deliveries SET state = 'failed', last_outcome = 'timeout', tries = 10,"
                    " attempt_count = 10, finished_at = created_at"
                )
            )
        wake_ups = services(app).wake_ups
        self.secret = members.invite(database, workspace.id, "new@example.com", Role.ADMIN, actor=TESTER)
        api_tokens.create(database, workspace.id, "an app", actor=TESTER)
        db.session.rollback()
        delivery_id = db.session.scalars(select(Delivery.id)).one()
        with database.begin() as connection:  # made long enough ago for a recovery that starts now
            older = f"dlv_{'0' * 8}{delivery_id[12:]}"
            connection.execute(text("UPDATE deliveries SET id = :id"), {"id": older})
            connection.execute(text("UPDATE attempts SET delivery_id = :id"), {"id": older})
        wanted = LogFilter(status=Status.FAILED)
        recovery_id = recoveries.start(services(app).databases, wake_ups, workspace.id, wanted, actor=TESTER)
        db.session.rollback()
        self.ids = {
            "endpoint_id": endpoint_id,
            "delivery_id": older,
            "secret_id": db.session.scalars(select(SigningSecret.id).limit(1)).one(),
            "token_id": db.session.scalars(select(ApiToken.id).limit(1)).one(),
            "invitation_id": db.session.scalars(select(Invitation.id)).one(),
            "recovery_id": recovery_id,
            "user_id": users.add(database, email="victim@example.com", name="Vic", password=PASSWORD),
            "secret": self.secret,
            "name": "README.md",  # of the documents
            "filter_id": saved_filters.save(
                database, workspace.id, "Failed", LogFilter(status=Status.FAILED), actor=TESTER
            ),
        }
        victim = db.session.get_one(User, self.ids["user_id"])
        self.ids["passkey_id"] = passkey_of(database, self.ids["user_id"])
        self.ids["session_id"] = session_of(database, self.ids["user_id"])
        link = log_in_links.new_link(victim, "", found.settings.secret_key)
        self.ids["link_token"] = link.removeprefix(log_in_links.PATH)
        self.ids["reset_token"] = password_resets.new_token(victim, found.settings.secret_key)
        members.add(database, workspace.id, self.ids["user_id"], Role.VIEWER, actor=TESTER)

    def rules(self, method: str, *, under: str = "") -> Iterator[Rule]:
        for rule in self.app.url_map.iter_rules():
            is_api = rule.rule.startswith("/api/")
            is_page = method in (rule.methods or ()) and rule.endpoint != "static" and not is_api
            if is_page and rule.rule.startswith(under):
                yield rule

    def url(self, rule: Rule, workspace_id: str = "") -> str:
        values = {name: self.ids[name] for name in rule.arguments - {"workspace_id"}}
        if "workspace_id" in rule.arguments:
            values["workspace_id"] = workspace_id or self.workspace.id
        with self.app.test_request_context():
            built = self.app.url_map.bind("").build(rule.endpoint, values)
        return "/" + built.lstrip("/")


def passkey_of(database: WriteDatabase, user_id: str) -> str:
    """Give that person a passkey; return its id."""
    passkey_id = ids.new("psk")
    key = {"credential_id": "c", "public_key": b"k", "sign_count": 0, "name": "K"}
    row = key | {"id": passkey_id, "user_id": user_id, "created_at": clock.now()}
    with database.begin() as connection:
        connection.execute(insert(Passkey).values(row))
    return passkey_id


def session_of(database: WriteDatabase, user_id: str) -> str:
    """Begin a session of that person; return its id."""
    sessions.begin(database, user_id, SignInMethod.PASSWORD, Browser("192.0.2.7", "Firefox/1 Linux"))
    db.session.rollback()
    return db.session.scalars(select(UserSession.id).where(UserSession.user_id == user_id)).one()


@pytest.fixture
def world(app: Flask, workspace: Workspace, database: WriteDatabase) -> World:
    return World(app, workspace, database)


def snapshot() -> dict[str, str]:
    """A digest of each table, but for when somebody was last seen."""
    db.session.rollback()
    found = {}
    for table in Base.metadata.sorted_tables:
        rows = sorted(repr(tuple(row)) for row in db.session.execute(select(table)))
        found[table.name] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return found


def test_the_route_map_is_what_these_tests_think(world: World) -> None:
    assert len(list(world.rules("POST", under=WORKSPACE))) >= 20
    assert len(list(world.rules("GET", under=WORKSPACE))) >= 20


def test_everything_of_a_workspace_asks_for_a_log_in(world: World, anonymous_page: Page) -> None:
    before = snapshot()
    for rule in world.rules("GET", under=WORKSPACE):
        answer = anonymous_page.get(world.url(rule))
        assert (answer.status_code, "/login" in answer.location) == (302, True), rule
        fragment = anonymous_page.get(world.url(rule), headers=FRAGMENT_HEADERS)
        assert (fragment.status_code, "HX-Redirect" in fragment.headers) == (401, True), rule
    for rule in world.rules("POST", under=WORKSPACE):
        answer = anonymous_page.post(world.url(rule))
        assert (answer.status_code, "/login" in answer.location) == (302, True), rule
    assert snapshot() == before


def test_no_write_goes_without_its_csrf_token(world: World, admin_page: Page, anonymous_page: Page) -> None:
    before = snapshot()
    for rule in world.rules("POST"):
        refusal = 403 if rule.endpoint == WITHOUT_COOKIE else 400
        for page in (admin_page, anonymous_page):
            assert page.post(world.url(rule), csrf=False).status_code == refusal, rule
    assert snapshot() == before


def test_a_viewer_writes_nothing(world: World, viewer_page: Page) -> None:
    before = snapshot()
    for rule in world.rules("POST", under=WORKSPACE):
        if not rule.endpoint.startswith(OWN_ACCOUNT):
            assert viewer_page.post(world.url(rule)).status_code == 403, rule
    assert snapshot() == before


def test_another_workspaces_admin_finds_nothing(world: World, stranger_page: Page) -> None:
    own = stranger_page.get("/").location.split("/")[2]
    before = snapshot()
    for method in ("GET", "POST"):
        for rule in world.rules(method, under=WORKSPACE):
            act = stranger_page.get if method == "GET" else stranger_page.post
            assert act(world.url(rule)).status_code == 404, rule
            if rule.arguments - {"workspace_id"}:  # foreign ids under one's own workspace
                assert act(world.url(rule, own)).status_code == 404, rule
    assert snapshot() == before


def test_reading_changes_nothing(world: World, admin_page: Page) -> None:
    before = snapshot()
    for rule in world.rules("GET"):
        for headers in ({}, FRAGMENT_HEADERS):
            url = world.url(rule) + ("?format=csv" if rule.endpoint == "deliveries.export" else "")
            answer = admin_page.get(url, headers=headers | BEARER)
            assert answer.status_code in (200, 204, 302, 303), (rule, answer.status_code)
    assert snapshot() == before


@pytest.mark.parametrize("who", ["admin_page", "anonymous_page"])
def test_every_answer_carries_the_browsers_orders(
    request: pytest.FixtureRequest, world: World, who: str
) -> None:
    page: Page = request.getfixturevalue(who)
    rules = [rule for rule in world.rules("GET") if rule.endpoint != "documents.show"]  # which may be kept
    answers = [page.get(world.url(rule)) for rule in rules]
    answers += [page.post(world.url(rule), csrf=False) for rule in world.rules("POST")]
    answers += [page.get("/no/such/page")]
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert {"HX-Request", "HX-Request-Type", "Cookie"} <= set(answer.vary)


def test_an_unknown_id_is_not_found_anywhere(world: World, admin_page: Page) -> None:
    for method in ("GET", "POST"):
        for rule in world.rules(method, under=WORKSPACE):
            if not rule.arguments - {"workspace_id"}:
                continue
            for name, value in world.ids.items():
                if name in rule.arguments:
                    url = world.url(rule).replace(value, value[:-4] + "zzzz")
                    act = admin_page.get if method == "GET" else admin_page.post
                    assert act(url).status_code == 404, (rule, name)


def test_no_form_and_no_link_leaves_the_console(world: World, admin_page: Page) -> None:
    for rule in world.rules("GET"):
        page = admin_page.get(world.url(rule))
        if page.mimetype == "text/html":
            assert 'href="//' not in page.text
            assert "javascript:" not in page.text
            assert " style=" not in page.text.replace("hx-style", "")
            assert " onclick=" not in page.text
