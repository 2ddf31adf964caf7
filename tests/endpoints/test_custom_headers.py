"""Judge the headers that an admin adds."""

from dataclasses import replace

import pytest

from tests.conftest import TESTER, Workspace
from tests.transport.odd_urls import wide
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints import actions, custom_headers
from webhooks_app.endpoints.custom_headers import ValueNeeded, header_list_problem, header_problem
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.extensions import db, services

RESERVED = """
    Host host Content-Length content-type Content-Encoding Transfer-Encoding Connection Keep-Alive TE Trailer
    Upgrade Expect HTTP2-Settings Proxy-Authorization proxy-connection webhook-id Webhook-Signature webhook-x
    webhook_signature Webhook_Id WEBHOOK_TIMESTAMP Transfer_Encoding Proxy content_length keep_alive
    proxy_connection http2_settings webhook.signature Transfer.Encoding webhook|id content~type
"""


@pytest.mark.parametrize("name", RESERVED.split())
def test_a_reserved_header_is_refused(name: str) -> None:
    assert f"The header {name} is reserved" in str(header_problem(name, "x"))


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "X-Api-Key",
        "Cookie",
        "User-Agent",
        "x",
        "!#$%&'*+-.^_`|~09",
        "Hosts",
        "_host",
        "X_Api_Key",
    ],
)
def test_another_token_is_a_header_name(name: str) -> None:
    assert header_problem(name, "Bearer abc") is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "X Y",
        "X:",
        ":path",
        "X\r\nY",
        "X\n",
        "X\0",
        "X(",
        "Ü",
        "X\t",
        "X/Y",
        "X;",
        "@x",
        wide("Host"),
    ],
)
def test_a_header_name_that_is_no_token_is_refused(name: str) -> None:
    assert "A header name may only hold" in str(header_problem(name, "x"))


@pytest.mark.parametrize(
    "value",
    ["s3cret\r\nX: y", "s3cret\n", "s3cret\r", "\ns3cret", "s3cret\0", "s3cret\x1b", "s3crétü", "\x7f"],
)
def test_a_header_value_with_a_line_break_or_odd_byte_is_refused_and_not_repeated(value: str) -> None:
    problem = str(header_problem("X-Key", value))
    assert "printable ASCII" in problem and "s3c" not in problem


@pytest.mark.parametrize("value", ["", " ", "\t", " x", "x ", "x\t"])
def test_an_empty_or_padded_header_value_is_refused(value: str) -> None:
    assert "must not be empty" in str(header_problem("X-Key", value))


def test_headers_are_judged_together() -> None:
    assert header_list_problem([]) is None
    assert header_list_problem([("Authorization", "Bearer a b\tc~"), ("X-Env", "live")]) is None
    assert "is reserved" in str(header_list_problem([("X-Env", "live"), ("Host", "x")]))
    assert header_list_problem([("x-env", "a"), ("X-Env", "b")]) == "The header X-Env is there twice."
    assert header_list_problem([("X-Env", "a"), ("X_Env", "b")]) == "The header X_Env is there twice."


def test_twenty_headers_are_allowed_and_one_more_is_not() -> None:
    headers = [(f"X-{number}", "x") for number in range(21)]
    assert header_list_problem(headers[:20]) is None
    assert "There are 21 headers" in str(header_list_problem(headers))


def test_four_kibibytes_of_headers_are_allowed_and_one_byte_more_is_not() -> None:
    fitting = 4096 - len("X-A: \r\n") - len("X-B: \r\n") - 1
    assert header_list_problem([("X-A", "a"), ("X-B", "b" * fitting)]) is None
    assert "take 4097 bytes" in str(header_list_problem([("X-A", "a"), ("X-B", "b" * (fitting + 1))]))


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        ("https://a.example/elsewhere?x=1", True),
        ("http://a.example/hooks", False),
        ("https://b.example/hooks", False),
        ("https://a.example.evil.example/hooks", False),
        ("https://a.example:8443/hooks", False),
        ("https://x.a.example/hooks", False),
    ],
)
def test_a_stored_value_goes_to_no_other_server(
    workspace: Workspace, database: WriteDatabase, other: str, is_same: bool
) -> None:
    endpoint_id = workspace.endpoint("https://a.example/hooks", headers=[("X-Key", "s3cret")])
    # As the page loaded it: what counts is what is stored when the change is made.
    endpoint, cipher = db.session.get_one(Endpoint, endpoint_id), services(workspace.app).cipher
    values = EndpointValues("Orders", other, True, (), headers=[("x-key", None)])

    if is_same:
        actions.change(database, cipher, endpoint, values, actor=TESTER)
    else:
        with pytest.raises(ValueNeeded):
            actions.change(database, cipher, endpoint, values, actor=TESTER)

    db.session.rollback()
    db.session.expire_all()
    changed = db.session.get_one(Endpoint, endpoint_id)
    assert changed.url == (other if is_same else "https://a.example/hooks")
    assert [value for _, value in custom_headers.decrypt(cipher, changed)] == ["s3cret"]


def test_a_value_that_is_not_stored_cannot_stay(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint_id = workspace.endpoint("https://a.example/hooks", headers=[("X-Key", "s3cret")])
    endpoint, cipher = db.session.get_one(Endpoint, endpoint_id), services(workspace.app).cipher
    values = EndpointValues("Orders", "https://a.example/hooks", True, (), headers=[("X-Other", None)])

    with pytest.raises(ValueNeeded):
        actions.change(database, cipher, endpoint, values, actor=TESTER)
    with pytest.raises(ValueNeeded):
        actions.create(database, cipher, workspace.id, replace(values, name="New"), actor=TESTER)
