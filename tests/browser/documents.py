"""Every document and fragment that the console answers with, as it leaves the server, in all states."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask

from tests.browser.pages import PAGES, Page
from tests.browser.world import MARKUP, VIEWER_EMAIL, World
from tests.conftest import PASSWORD, TESTER
from tests.web.conftest import Page as Client
from tests.web.sign_in.test_second_factor_page import turn_on
from webhooks_app.accounts import members, users
from webhooks_app.db.models import Role
from webhooks_app.extensions import services

# Views that answer GET with no HTML of their own.
NO_HTML = {
    *("deliveries.show_json", "deliveries.export", "deliveries.changes"),
    *("api_document.show_json", "api_document.show_yaml"),
    "documents.show",  # the generator's
}
# Those that answer a form with a redirect only.
REDIRECTING = {
    *("endpoints.disable", "endpoints.revoke", "members.withdraw", "members.change_role", "members.remove"),
    *("profile.end_other_sessions", "recoveries.cancel", "session.log_out", "tokens.revoke"),
    *("profile.end_session", "profile.disconnect", "profile.connect", "session.use_link"),
    *("profile.remove_passkey", "profile.add_passkey", "deliveries.remove"),
    *("endpoints.release", "endpoints.end", "deliveries.erase"),
    "signed_deliveries.sign",  # text, for curl
}
TOO_LONG = {"name": MARKUP + "x" * 200}


class Form(NamedTuple):
    """A form that is sent and answered with a page, or with a part of one where htmx sends it."""

    view: str
    variant: str
    data: Mapping[str, Any] = {}
    of: str = ""
    who: str | None = "admin"
    is_fragment: bool = False

    @property
    def name(self) -> str:
        return f"form-{self.view.replace('.', '-')}-{self.variant}"


_REFUSED_ENDPOINT = {
    "url": f"ftp://{MARKUP}",
    "name": TOO_LONG["name"],
    "timeout": "99",
    "rate": "0",
    "headers-0-name": "webhook-id",
    "headers-0-value": MARKUP,
}
_TEST = {"event_type": "batch-lifecycle", "data": "{}"}
# What changes the world comes last.
FORMS = (
    Form("session.log_in", "refused", {"email": MARKUP, "password": "wrong"}, who=None),
    Form("password_resets.ask", "refused", {"email": MARKUP}, who=None),
    Form("password_resets.ask", "sent", {"email": "nobody@example.com"}, who=None),
    Form("password_resets.set_password", "refused", {"password": "short"}, who=None),
    Form("workspaces.new", "refused", TOO_LONG),
    Form("invitations.accept", "refused", TOO_LONG | {"password": "short"}, who=None),
    Form("invitations.accept", "somebody-else"),
    Form("endpoints.new", "refused", _REFUSED_ENDPOINT),
    Form("endpoints.new", "header", {"add-header": "1"}, is_fragment=True),
    Form("endpoints.settings", "refused", _REFUSED_ENDPOINT),
    Form("endpoints.settings", "header", _REFUSED_ENDPOINT | {"add-header": "1"}, is_fragment=True),
    Form("endpoints.settings", "header-page", _REFUSED_ENDPOINT | {"add-header": "1"}),
    Form("endpoints.test", "refused", _TEST | {"data": MARKUP}),
    Form("endpoints.test", "refused-part", _TEST | {"data": MARKUP, "preview": "1"}, is_fragment=True),
    Form("endpoints.test", "signed", _TEST | {"preview": "1"}),
    Form("endpoints.delete", "refused", {"confirmation": MARKUP}),
    Form("endpoints.fix_url", "refused", {"url": MARKUP}, of="billing"),
    Form("endpoints.fix_url", "refused-part", {"url": MARKUP}, of="billing", is_fragment=True),
    Form("endpoints.try_now", "part", {"event_type": "batch-lifecycle"}, of="billing", is_fragment=True),
    Form("endpoints.enable", "refused", of="legacy"),
    Form("endpoints.reveal", "page", of="billing"),
    Form("endpoints.reveal", "part", of="billing", is_fragment=True),
    Form("endpoints.rotate", "refused", {"overlap": "never"}),
    Form("members.invite", "refused", {"email": MARKUP, "role": "king"}),
    Form("settings.change", "refused", TOO_LONG | {"retention": "0", "timeout": "x", "addresses": MARKUP}),
    Form("profile.change_name", "refused", TOO_LONG),
    Form("profile.rename_passkey", "refused", TOO_LONG),
    Form("profile.change_password", "refused", {"current": "wrong", "new": "short"}),
    Form("tokens.create", "refused", TOO_LONG),
    Form("tokens.change_limit", "refused", {"rate": "0", "burst": "x"}),
    Form("recoveries.start", "refused", {"from": "yesterday"}),
    Form("deliveries.save", "refused", TOO_LONG | {"filter": "status=failed"}),
    Form("deliveries.rename", "refused", TOO_LONG),
    Form("deliveries.make_command", "page", of="failed"),
    Form("deliveries.make_command", "part", of="failed", is_fragment=True),
    Form("tokens.create", "done", {"name": MARKUP[:90], "scopes": "events:send"}),
    Form("members.invite", "done", {"email": "new@example.com", "role": "viewer"}),
    Form("deliveries.replay", "own-page", is_fragment=True),
    Form("deliveries.replay", "row", {"back": ""}, is_fragment=True),
    Form("deliveries.cancel", "row", {"back": ""}, of="pending", is_fragment=True),
    Form("deliveries.replay_selected", "rows", {"delivery": ["{failed}", "{delivered}"]}, is_fragment=True),
)


class Documents:
    """Asks for all of them. `seen` is what views answered, each with its method."""

    def __init__(self, app: Flask, world: World) -> None:
        self.app, self.world = app, world
        self.seen: set[tuple[str, str]] = set()
        people = {
            ("acme", "admin"): world.acme.admin_email,
            ("acme", "viewer"): VIEWER_EMAIL,
            ("empty", "admin"): world.empty.admin_email,
            ("quiet", "admin"): world.quiet.admin_email,
            ("acme", None): None,
        }
        self.clients = {who: self._client(email) for who, email in people.items()}

    def all(self) -> Iterator[tuple[str, str]]:
        """Yield a name and a whole document for each."""
        for page in PAGES:
            yield from self._page(page)
        yield from self._second_factor()
        yield from self._parts()
        yield from self._oddities()
        for form in FORMS:
            yield form.name, self._send(form)

    def _client(self, email: str | None) -> Client:
        client = Client(self.app, "/")
        if email:
            client.log_in(email)
        return client

    def _page(self, page: Page) -> Iterator[tuple[str, str]]:
        client, address = self.clients[page.where, page.who], page.address(self.world)
        answer = client.get(address)
        assert answer.status_code == page.status, address
        self.seen.add(("GET", page.view))
        yield page.name, answer.text
        part = client.fragment(address)
        if part.mimetype == "text/html" and not part.text.lstrip().startswith("<!doctype"):
            yield f"{page.name}-part", as_document(part.text)

    def _parts(self) -> Iterator[tuple[str, str]]:
        """What the log asks for by itself: a row, open and closed."""
        row = Page("deliveries.row", of="failed").address(self.world)
        for variant, query in (("closed", ""), ("open", f"?open={self.world.ids['failed']}")):
            answer = self.clients["acme", "admin"].fragment(row + query)
            assert answer.status_code == 200
            yield f"row-{variant}", as_document(answer.text)
        self.seen.add(("GET", "deliveries.row"))
        for view, of, query in (
            ("endpoints.changes", "", "?seen={billing}~0"),
            ("deliveries.failing", "", "?shown=0"),
            ("endpoints.suggestions", "", "?endpoint="),
            ("endpoints.live", "billing", "?state=&now=0&kind=other"),
            ("endpoints.live", "orders", "?line=0"),
        ):
            address = Page(view, of=of).address(self.world) + query.format(**self.world.ids)
            answer = self.clients["acme", "admin"].fragment(address)
            assert answer.status_code == 200
            if view != "endpoints.suggestions":  # options, which stand in a list
                part, _, summary = answer.text.partition('<hx-partial hx-target="#endpoint-summary"')
                yield f"{view}-{of}", as_document(part)
                yield f"{view}-{of}-summary", as_document(f"<p {summary}</p>" if summary else "")
            self.seen.add(("GET", view))

    def _second_factor(self) -> Iterator[tuple[str, str]]:
        """Setting it up, step by step, and being asked for it."""
        email, home = "phone@example.com", f"/w/{self.world.acme.id}/"
        user_id = users.add(services().write, email=email, name="Fay", password=PASSWORD)
        members.add(services().write, self.world.acme.id, user_id, Role.VIEWER, actor=TESTER)
        client = self._client(email)
        page, wrong = f"{home}profile/two-factor", {"current": "wrong"}
        yield "two-factor-refused", client.post(f"{page}/begin", wrong).text
        client.post(f"{page}/begin", {"current": PASSWORD})
        yield "two-factor-key", client.get(page).text
        yield "two-factor-wrong-code", client.post(f"{page}/confirm", {"code": MARKUP[:60]}).text
        turn_on(client, home)
        yield "two-factor-codes", client.post(f"{page}/codes", {"current": PASSWORD}).text
        yield "two-factor-off-refused", client.post(f"{page}/off", wrong).text
        late = Client(self.app, "/")
        late.post("/login", {"email": email, "password": PASSWORD})
        yield "second-step", late.get("/login/second-factor").text
        yield "second-step-refused", late.post("/login/second-factor", {"code": MARKUP[:60]}).text
        forms = (
            "begin_second_factor",
            "confirm_second_factor",
            "renew_recovery_codes",
            "turn_off_second_factor",
        )
        self.seen |= {("POST", f"profile.{form}") for form in forms}
        self.seen |= {("GET", "session.show_second_factor"), ("POST", "session.check_second_factor")}

    def _oddities(self) -> Iterator[tuple[str, str]]:
        """Pages of no view, or in a state that needs more than a request."""
        admin, nobody = self.clients["acme", "admin"], self.clients["acme", None]
        home = Page("endpoints.index").address(self.world)
        yield "behind-a-proxy", admin.get(home, headers={"X-Forwarded-For": "203.0.113.9"}).text
        admin.post(home.split("/alerts")[0] + "/profile/name", {"name": "Ada"})
        yield "with-a-toast", admin.get(home).text
        for name, answer in {
            "not-found": nobody.get("/no/such/page"),
            "wrong-method": admin.get("/logout"),
            "no-token": nobody.post("/login", {"email": MARKUP}, csrf=False),
            "too-large": nobody.post("/login", {"email": "x" * (5 * 1024 * 1024)}, csrf=False),
        }.items():
            assert answer.status_code >= 400
            yield name, answer.text
        self.app.config["DOCUMENTS_FOLDER"] = Path("not built")
        self.seen.add(("GET", "documents.index"))
        yield "documents", nobody.get("/docs/").text
        yield "provider-away", nobody.get("/login/sso").text
        yield "provider-refused", nobody.get("/login/sso/callback").text
        yield "passkey-refused", nobody.post("/login/passkey", {"answer": MARKUP}).text
        self.seen |= {("POST", "session.log_in_with_passkey"), ("POST", "profile.begin_passkey")}
        profile = home.split("/alerts")[0] + "/profile/passkeys"
        yield "passkey-new", admin.post(f"{profile}/begin", {"current": PASSWORD}).text
        yield "passkey-unnamed", admin.post(profile, {"name": "", "answer": MARKUP}).text
        self.seen |= {("GET", "session.go_to_provider"), ("GET", "session.come_back")}
        users.add(services().write, email="alone@example.com", name="Al", password=PASSWORD)
        yield "no-workspace", self._client("alone@example.com").get("/").text
        self.seen.add(("GET", "session.home"))

    def _send(self, form: Form) -> str:
        data = {name: self._filled_in(value) for name, value in form.data.items()}
        address = Page(form.view, of=form.of).address(self.world)
        answer = self.clients["acme", form.who].post(address, data, fragment=form.is_fragment)
        assert answer.mimetype == "text/html", form
        assert answer.status_code in (200, 403, 422), (form, answer.status_code)
        self.seen.add(("POST", form.view))
        return as_document(answer.text) if form.is_fragment else answer.text

    def _filled_in(self, value: Any) -> Any:
        if isinstance(value, list):
            return [part.format(**self.world.ids) for part in value]
        return value


def as_document(part: str) -> str:
    """Return a part of a page within what it is a part of.

    Rows lose the element that tells htmx their place, and get the form that their boxes belong to.
    """
    rows = re.sub(r"</?hx-partial[^>]*>", "", part)
    body = f"<table>{rows}</table>" if rows.lstrip().startswith("<tbody") else rows
    heading = "" if "<h1" in body else "<h1>A part</h1>"
    form = "" if 'id="bulk"' in body else '<form id="bulk" action="/"></form>'
    head = '<head><meta charset="utf-8"><title>A part</title></head>'
    return f'<!doctype html><html lang="en">{head}<body>{heading}{form}{body}</body></html>'


def unseen(app: Flask, seen: set[tuple[str, str]]) -> set[str]:
    """Return the views of the console, each with its method, that nobody looked at and nothing excuses."""
    return {
        f"{method} {rule.endpoint}"
        for rule in app.url_map.iter_rules()
        for method, excused in (("GET", NO_HTML), ("POST", REDIRECTING))
        if method in (rule.methods or ())
        and rule.endpoint not in excused
        and not rule.endpoint.startswith(("static", "api.", "health."))
        and (method, rule.endpoint) not in seen
    }
