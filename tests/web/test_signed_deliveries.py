"""A command that signs a delivery afresh when it is pasted."""

import html
import re
import subprocess
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import LargeBinary, Update, select, type_coerce, update

from tests.accepting import accept_events
from tests.conftest import PASSWORD, TESTER, Workspace
from tests.docs_site.code_blocks import block
from tests.receivers import Receiver
from tests.web.conftest import Page
from tests.web.deliveries import newest
from tests.web.endpoints import audited_actions
from webhooks_app.accounts import members, users
from webhooks_app.core import clock, signing
from webhooks_app.db.models import Endpoint, Event, Member, Role, SigningSecret, User
from webhooks_app.deliveries import signing_grants
from webhooks_app.deliveries.signing_grants import GrantRefused, SignedDelivery
from webhooks_app.endpoints import destinations
from webhooks_app.events.submissions import NewEvent
from webhooks_app.extensions import db, services
from webhooks_app.worker.engine import DeliveryEngine

HEADER_VALUE = "a secret of the receiver"
AWKWARD = {"text": 'quote " backslash \\ tab \t line \n @/etc/passwd \u202e é', "status": "succeeded"}


@pytest.fixture
def delivery_id(workspace: Workspace, receiver: Receiver, engine: DeliveryEngine) -> str:
    workspace.endpoint(receiver.url, headers=[("authorization", HEADER_VALUE)])
    new = NewEvent.of("batch-lifecycle", AWKWARD, [])
    accept_events(services().write, services().wake_ups, workspace.id, [new])
    engine.run(seconds=60)
    return newest().id


def ask_for_command(page: Page, delivery_id: str) -> str:
    text = page.post(f"deliveries/{delivery_id}/command").text
    [command] = re.findall(r'<pre id="signed-curl"[^>]*>(.*?)</pre>', text, re.DOTALL)
    return html.unescape(command)


def grant_of(command: str) -> str:
    return command.split("grant=")[1].split()[0]


def test_the_command_is_that_of_the_documents(admin_page: Page, delivery_id: str) -> None:
    command = ask_for_command(admin_page, delivery_id)
    name = "curl -fsS https://webhooks.example.com/signed-delivery --data-urlencode grant=… \\"
    shown = block("docs/console.md", name)
    base = services(admin_page.app).settings.base_url
    assert (
        command.replace(grant_of(command), "…").replace(base, "https://webhooks.example.com") == shown.strip()
    )


def test_curl_sends_what_the_platform_signed_for_it(
    app: Flask,
    admin_page: Page,
    anonymous_page: Page,
    receiver: Receiver,
    delivery_id: str,
    workspace: Workspace,
) -> None:
    command = ask_for_command(admin_page, delivery_id)
    assert "webhook-signature" not in command
    assert "whsec_" not in command
    [sent] = receiver.received

    answer = anonymous_page.post("/signed-delivery", {"grant": grant_of(command)}, csrf=False)
    done = subprocess.run(
        ["curl", "-sS", "-i", "--config", "-"], input=answer.data, capture_output=True, check=True
    )

    assert answer.status_code == 200
    assert HEADER_VALUE not in answer.text
    assert b" 200 " in done.stdout.splitlines()[0] + b" "
    again = receiver.received[-1]
    assert (len(receiver.received), again.body) == (2, sent.body)
    assert again.headers["webhook-id"] == delivery_id
    assert again.headers["content-type"] == "application/json"
    assert "authorization" not in again.headers
    with services().read.connect() as connection:
        _, destination = destinations.read(connection, [newest().endpoint_id], services().cipher)[
            newest().endpoint_id
        ]
    timestamp = int(again.headers["webhook-timestamp"])
    keys = destination.keys_at(clock.now())
    signature = signing.signature(keys, message_id=delivery_id, timestamp=timestamp, body=sent.body)
    assert again.headers["webhook-signature"] == signature
    assert audited_actions()[-2:] == ["delivery.grant", "delivery.sign"]


def test_the_command_can_go_to_another_receiver_and_nowhere_else(
    admin_page: Page, anonymous_page: Page, delivery_id: str
) -> None:
    grant = grant_of(ask_for_command(admin_page, delivery_id))
    elsewhere = {"grant": grant, "url": "http://localhost:3000/hooks"}
    answer = anonymous_page.post("/signed-delivery", elsewhere, csrf=False)
    assert 'url = "http://localhost:3000/hooks"' in answer.text
    for url in ("file:///etc/passwd", "http://x/\noutput = evil", "x" * 3000, "//x", "http://["):
        refused = anonymous_page.post("/signed-delivery", {"grant": grant, "url": url}, csrf=False)
        assert refused.status_code == 400


def test_a_grant_is_good_for_one_delivery_of_an_admin_for_a_while(
    app: Flask,
    workspace: Workspace,
    anonymous_page: Page,
    delivery_id: str,
    make_workspace: Callable[[str], Workspace],
) -> None:
    user_id = users.add(services().write, email="second@example.com", name="Second", password=PASSWORD)
    members.add(services().write, workspace.id, user_id, Role.ADMIN, actor=TESTER)
    key, found = services().settings.secret_key, services()
    grant = signing_grants.make(found.write, key, workspace.id, delivery_id, user_id, actor=TESTER)

    def redeem(text: str, **options: timedelta) -> SignedDelivery:
        return signing_grants.redeem(found.databases, found.cipher, key, text, address="", **options)

    workspace.send()  # another one, which is none of the grant's
    assert dict(redeem(grant).headers)["webhook-id"] == delivery_id
    with pytest.raises(GrantRefused):
        redeem(grant, life=timedelta(seconds=-1))
    for damaged in ("", "x", f"x{grant[1:]}", grant.split(".")[0]):
        with pytest.raises(GrantRefused):
            redeem(damaged)
    elsewhere = signing_grants.make(
        found.write, key, make_workspace("Other").id, delivery_id, user_id, actor=TESTER
    )
    with pytest.raises(GrantRefused):
        redeem(elsewhere)
    db.session.rollback()
    member = db.session.get_one(Member, (workspace.id, user_id))
    members.change_role(found.write, member, Role.VIEWER, actor=TESTER)
    with pytest.raises(GrantRefused):
        redeem(grant)
    refused = anonymous_page.post("/signed-delivery", {"grant": grant}, csrf=False)
    assert (refused.status_code, "expired" in refused.text) == (403, True)


@pytest.mark.parametrize(
    "change",
    [
        update(Event).values(payload_erased_at=clock.now()),
        update(Endpoint).values(deleted_at=clock.now()),
        update(Event).values(body=type_coerce(b"\xff", LargeBinary)),
        update(SigningSecret).values(ciphertext="damaged"),
    ],
    ids=["erased payload", "deleted endpoint", "damaged payload", "damaged secret"],
)
def test_nothing_is_signed_whose_payload_endpoint_or_secret_is_gone(
    workspace: Workspace, delivery_id: str, change: Update
) -> None:
    found, admin = services(), select(User.id).where(User.email == workspace.admin_email)
    key, user_id = found.settings.secret_key, db.session.scalars(admin).one()
    grant = signing_grants.make(found.write, key, workspace.id, delivery_id, user_id, actor=TESTER)
    with found.write.begin() as connection:
        connection.execute(change)
    with pytest.raises(GrantRefused):
        signing_grants.redeem(found.databases, found.cipher, key, grant, address="")


def test_admins_of_the_workspace_alone_make_commands(
    viewer_page: Page, stranger_page: Page, anonymous_page: Page, admin_page: Page, delivery_id: str
) -> None:
    path = f"deliveries/{delivery_id}/command"
    assert "Send it yourself" not in viewer_page.get(f"deliveries/{delivery_id}").text
    assert viewer_page.post(path).status_code == 403
    home = stranger_page.get("/").location or ""
    assert stranger_page.post(f"{home}{path}").status_code == 404
    assert "/login" in (anonymous_page.post(path).location or "")
    assert admin_page.post("deliveries/dlv_none/command").status_code == 404
    fragment = admin_page.post(path, fragment=True).text
    assert fragment.lstrip().startswith('<section class="block" id="command"')
