"""Every page of the console, with what its address is filled in with. A new GET rule needs a line here."""

from collections.abc import Callable
from typing import NamedTuple

from flask import Flask
from playwright.sync_api import Page as Tab

from tests.browser.world import CAREFUL_EMAIL, World
from tests.conftest import PASSWORD

# What has no `of` of its own shows this.
USUALLY = {
    "endpoint_id": "orders",
    "delivery_id": "delivered",
    "recovery_id": "recovery",
    "filter_id": "filter",
    "passkey_id": "passkey",
    "token_id": "limited token",
    "secret": "invitation",
    "reset_token": "reset",
    "link_token": "link",
}


def refuse_log_in(tab: Tab) -> None:
    tab.fill("#email", "somebody@example.com")
    tab.fill("#password", "wrong")
    tab.click("form.login button:not([form])")
    tab.wait_for_selector("[role=alert]")


def refuse_address(tab: Tab) -> None:
    tab.fill("#email", "nobody")
    tab.click("text=Send link")
    tab.wait_for_selector("#email-error")


def ask_for_link(tab: Tab) -> None:
    tab.fill("#email", "nobody@example.com")
    tab.click("text=Send link")
    tab.wait_for_selector("text=Look into your mail")


def refuse_endpoint(tab: Tab) -> None:
    tab.fill("#url", "ftp://example.com")
    tab.fill("#timeout", "99")
    tab.click("text=Add header")
    tab.fill("[name$='-name']", "webhook-id")
    tab.click(".form-foot button")
    tab.wait_for_selector("[role=alert]")


def refuse_test(tab: Tab) -> None:
    tab.fill("#data", "{")
    tab.click("main form button:has-text('Send test event')")
    tab.wait_for_selector("#data-error")


def refuse_deletion(tab: Tab) -> None:
    tab.fill("#confirmation", "another")
    tab.click("text=Delete endpoint")
    tab.wait_for_selector("#confirmation-error")


def reveal(tab: Tab) -> None:
    tab.click("text=Reveal")
    tab.wait_for_selector("text=revealed")


def open_operation(tab: Tab) -> None:
    tab.click("#createEndpoint summary")


def unfold(tab: Tab) -> None:
    tab.click(".catalog summary >> nth=0")
    tab.click(".catalog details[open] summary >> nth=1")


def create_token(tab: Tab) -> None:
    tab.fill("#name", "Billing")
    tab.click("text=Create token")
    tab.wait_for_selector("#token")


def refuse_limit(tab: Tab) -> None:
    tab.fill("#rate", "0")
    tab.click("text=Save limit")
    tab.wait_for_selector("#rate-error")


def ask_first(tab: Tab) -> None:
    tab.click(".confirm summary >> nth=0")


def read_what_erasing_takes(tab: Tab) -> None:
    tab.click("#erase summary")


def invite(tab: Tab) -> None:
    tab.fill("#email", "new@example.com")
    tab.click("text=Create invitation")
    tab.wait_for_selector("#link")


def refuse_invitation(tab: Tab) -> None:
    tab.fill("#email", "nobody")
    tab.click("text=Create invitation")
    tab.wait_for_selector("#email-error")


def refuse_settings(tab: Tab) -> None:
    tab.fill("#retention", "0")
    tab.fill("#addresses", "nobody")
    tab.click("text=Save changes")
    tab.wait_for_selector("[role=alert]")


def refuse_password(tab: Tab) -> None:
    tab.fill("#current", "wrong")
    tab.fill("#new", "short")
    tab.click("text=Change password")
    tab.wait_for_selector("#new-error")


def refuse_account(tab: Tab) -> None:
    tab.fill("#password", "short")
    tab.click("text=Create account and join")
    tab.wait_for_selector("#password-error")


def begin_second_factor(tab: Tab) -> None:
    tab.fill("#current", PASSWORD)
    tab.click("main button:has-text('Set up')")
    tab.wait_for_selector("#totp-key")


def refuse_second_factor(tab: Tab) -> None:
    tab.fill("#current", "wrong")
    tab.click("main button:has-text('Set up')")
    tab.wait_for_selector("#current-error")


def reach_second_step(tab: Tab) -> None:
    tab.fill("#email", CAREFUL_EMAIL)
    tab.fill("#password", PASSWORD)
    tab.click("form.login button:not([form])")
    tab.fill("#code", "000000")
    tab.click("form.login button:not([form])")
    tab.wait_for_selector("#code-error")


def begin_passkey(tab: Tab) -> None:
    tab.click("summary:has-text('Add a passkey')")
    tab.fill("#passkey-current", PASSWORD)
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#name")


def refuse_passkey_name(tab: Tab) -> None:
    tab.click("details.rename summary >> nth=0")
    tab.fill("#passkey-1", " ")
    tab.click("details.rename[open] button")
    tab.wait_for_selector("#name-error")


def show_palette(tab: Tab) -> None:
    tab.keyboard.press("Control+k")
    tab.fill("#palette input", "e")
    tab.locator("#palette .found a").first.wait_for()


def show_shortcuts(tab: Tab) -> None:
    tab.keyboard.press("?")
    tab.wait_for_selector("#keys[open]")


def show_signed(tab: Tab) -> None:
    tab.click("#show-request")
    tab.wait_for_selector("#signed-request")


def make_command(tab: Tab) -> None:
    tab.click("#make-command")
    tab.wait_for_selector("#signed-curl")


class Page(NamedTuple):
    """A view in one state: `of` what (a name in World.ids), in which workspace, for whom, after which act."""

    view: str
    variant: str = ""
    of: str = ""
    query: str = ""
    where: str = "acme"
    who: str | None = "admin"
    status: int = 200
    act: Callable[[Tab], None] | None = None

    @property
    def name(self) -> str:
        return f"{self.view.replace('.', '-')}{'-' * bool(self.variant)}{self.variant}"

    def address(self, world: World) -> str:
        workspace = getattr(world, self.where)
        values = {name: world.ids[usual] for name, usual in USUALLY.items()}
        values |= {name: world.ids.get(self.of, self.of) for name in USUALLY if self.of}
        values["workspace_id"] = workspace.id
        rule = next(world.app.url_map.iter_rules(self.view))
        wanted = {name: values[name] for name in rule.arguments}
        path = world.app.url_map.bind("localhost").build(self.view, wanted)
        return f"{path}?{self.query.format(**world.ids)}" if self.query else path


PAGES = (
    Page("session.log_in", who=None),
    Page("session.log_in", "refused", who=None, act=refuse_log_in),
    Page("session.log_in", "second-step", who=None, act=reach_second_step),
    Page("endpoints.index"),
    Page("endpoints.index", "viewer", who="viewer"),
    Page("endpoints.index", "nothing-found", query="q=nothing"),
    Page("endpoints.index", "empty", where="empty"),
    Page("endpoints.index", "filtered", query="state=failing&event=batch-lifecycle"),
    Page("endpoints.new"),
    Page("endpoints.new", "refused", act=refuse_endpoint),
    Page("endpoints.new", "forbidden", who="viewer", status=403),
    Page("endpoints.show"),
    Page("endpoints.show", "failing", of="billing"),
    Page("endpoints.show", "disabled", of="legacy"),
    Page("endpoints.show", "unused", of="unused"),
    Page("endpoints.show", "hostile", of="hostile"),
    Page("endpoints.show", "long", of="long"),
    Page("endpoints.verify", "new", query="new=1"),
    Page("endpoints.show", "not-there", of="ep_none", status=404),
    Page("endpoints.verify"),
    Page("endpoints.verify", "fetch", query="language=typescript&framework=fetch"),
    Page("endpoints.verify", "not-run", query="language=csharp"),
    Page("endpoints.verify", "library", query="language=go&framework=any"),
    Page("endpoints.verify", "rotated", of="billing", act=reveal),
    Page("endpoints.test"),
    Page("endpoints.test", "refused", act=refuse_test),
    Page("endpoints.settings", act=refuse_deletion),
    Page("endpoints.settings", "disabled", of="legacy"),
    Page("endpoints.settings", "managed", of="unused"),
    Page("endpoints.settings", "managed-long", of="long"),
    Page("endpoints.settings", "moved", of="billing", query="moved=1"),
    Page("deliveries.index"),
    Page("deliveries.index", "opened", query="status=retrying&open={retrying}"),
    Page("deliveries.index", "viewer", who="viewer", query="q={hostile delivery}&open={hostile delivery}"),
    Page("deliveries.index", "nothing-found", query="q=nothing"),
    Page("deliveries.index", "recovery", query="recovery={done recovery}"),
    Page("deliveries.index", "refused", query="from=yesterday", status=400),
    Page("deliveries.index", "empty", where="empty"),
    Page("deliveries.index", "quiet", where="quiet"),
    Page("deliveries.saved", query="status=failed&endpoint={billing}"),
    Page("deliveries.saved", "viewer", who="viewer"),
    Page("deliveries.saved", "none", where="empty"),
    Page("deliveries.show"),
    Page("deliveries.show", "command", of="failed", act=make_command),
    Page("deliveries.show", "failed", of="failed"),
    Page("deliveries.show", "erasing", of="retrying", act=read_what_erasing_takes),
    Page("deliveries.show", "test", of="test"),
    Page("deliveries.show", "retrying", of="retrying"),
    Page("deliveries.show", "held", of="held"),
    Page("deliveries.show", "canceled", of="canceled"),
    Page("deliveries.show", "pending", of="pending"),
    Page("deliveries.show", "sending", of="sending"),
    Page("deliveries.show", "deleted", of="delivered to deleted"),
    Page("deliveries.show", "erased", of="erased"),
    Page("deliveries.show", "hostile", of="hostile delivery"),
    Page("deliveries.compare", of="failed"),
    Page("deliveries.compare", "erased", of="erased"),
    Page("deliveries.compare", "hostile", of="hostile delivery"),
    Page("endpoints.deliveries"),
    Page("endpoints.deliveries", "failed", of="billing", query="status=failed"),
    Page("endpoints.deliveries", "unused", of="unused"),
    Page("traffic.show", query="period=1h"),
    Page("traffic.show", "by-type", query="by=event_type"),
    Page("traffic.show", "empty", where="empty"),
    Page("recoveries.index"),
    Page("recoveries.index", "empty", where="empty"),
    Page("recoveries.new", query="range=all"),
    Page("recoveries.new", "cancel", query="action=cancel&status=pending&range=all"),
    Page("recoveries.new", "everything", query="status=&endpoint={billing}&range=all"),
    Page("recoveries.new", "nothing", where="empty"),
    Page("recoveries.new", "refused", query="status=held", status=422),
    Page("recoveries.show"),
    Page("recoveries.show", "canceled", of="canceled recovery"),
    Page("recoveries.show", "done", of="done recovery"),
    Page("recoveries.show", "viewer", who="viewer"),
    Page("tokens.index", act=create_token),
    Page("tokens.index", "viewer", who="viewer"),
    Page("tokens.index", "confirm", act=ask_first),
    Page("tokens.edit_limit"),
    Page("tokens.edit_limit", "refused", act=refuse_limit),
    Page("members.index", act=invite),
    Page("members.index", "refused", act=refuse_invitation),
    Page("members.index", "viewer", who="viewer"),
    Page("audit.index"),
    Page("audit.index", "nothing-found", query="q=nothing"),
    Page("settings.show", act=refuse_settings),
    Page("settings.show", "viewer", who="viewer"),
    Page("operations.show"),
    Page("operations.show", "forbidden", who="viewer", status=404),
    Page("password_resets.ask", who=None),
    Page("password_resets.ask", "refused", who=None, act=refuse_address),
    Page("password_resets.ask", "sent", who=None, act=ask_for_link),
    Page("password_resets.show", who=None),
    Page("session.show_link", who=None),
    Page("profile.show", act=refuse_password),
    Page("profile.show", "new-passkey", act=begin_passkey),
    Page("profile.show", "renaming-passkey", act=refuse_passkey_name),
    Page("profile.show_second_factor_setup", act=begin_second_factor),
    Page("profile.show_second_factor_setup", "refused", who="viewer", act=refuse_second_factor),
    Page("profile.show_second_factor_setup", "on", where="quiet"),
    Page("workspaces.new"),
    Page("invitations.show", who=None, act=refuse_account),
    Page("invitations.show", "somebody-else"),
    Page("invitations.show", "closed", of="no-such-invitation", who=None, status=404),
    Page("endpoints.index", "shortcuts", act=show_shortcuts),
    Page("endpoints.test", "signed", act=show_signed),
    Page("find.index", query="q=batch"),
    Page("find.index", "pages"),
    Page("find.index", "dialog", act=show_palette),
    Page("catalog.index"),
    Page("api_reference.index", act=open_operation),
    Page("catalog.index", "unfolded", act=unfold),
)

# Views that answer GET with something other than a page.
NOT_PAGES = {
    "session.show_second_factor": "a redirect, until a password was given: see session.log_in",
    "session.go_to_provider": "a redirect",
    "session.come_back": "a redirect",
    "session.home": "a redirect, or one sentence where there is no workspace",
    "deliveries.changes": "a fragment",
    "deliveries.failing": "a fragment",
    "endpoints.changes": "a fragment",
    "endpoints.live": "a fragment",
    "endpoints.suggestions": "a fragment",
    "deliveries.row": "a fragment, else a redirect",
    "deliveries.show_json": "JSON",
    "deliveries.export": "a file",
    "api_document.show_json": "JSON",
    "api_document.show_yaml": "YAML",
    "documents.index": "the site of the documents, or how to build it: see tests/docs_site",
    "documents.show": "a file of that site",
}
NO_CONSOLE = ("static", "api.", "health.")


def views(app: Flask) -> dict[str, str]:
    """The console's views that answer GET, each with its rule."""
    return {
        rule.endpoint: rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not rule.endpoint.startswith(NO_CONSOLE)
    }
