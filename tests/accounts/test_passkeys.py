"""Passkeys: what is not signed for us, by that device, just now, for that browser, logs nobody in."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select

from tests.accounts.soft_authenticator import PRESENT, SoftAuthenticator, encode
from tests.accounts.test_second_factors import Person
from tests.conftest import TESTER
from webhooks_app.accounts import passkey_ceremonies, passkey_challenges, passkeys, second_factors
from webhooks_app.accounts.passkey_ceremonies import PasskeyRefused, RelyingParty
from webhooks_app.accounts.passkey_challenges import BadChallenge
from webhooks_app.accounts.passkeys import TooManyPasskeys
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import AuditEntry

PARTY = RelyingParty("hooks.example.com", "https://hooks.example.com", "k" * 32)
BROWSER = "a browser"


@pytest.fixture
def device() -> SoftAuthenticator:
    return SoftAuthenticator(PARTY.origin, PARTY.host)


@pytest.fixture
def person(databases: Databases) -> Person:
    return Person(databases)


def add(
    person: Person, device: SoftAuthenticator, *, browser: str = BROWSER, most: int = passkeys.MOST
) -> None:
    options = passkey_ceremonies.creation_options(PARTY, person.user, (), browser=BROWSER)
    answer = device.create(options)
    passkeys.add(person.write, PARTY, person.user, answer, "Phone", browser=browser, actor=TESTER, most=most)


def asked(browser: str = BROWSER) -> str:
    return passkey_ceremonies.request_options(PARTY, browser=browser)


def log_in(person: Person, answer: str, *, browser: str = BROWSER) -> str:
    return passkeys.log_in(person.databases, PARTY, answer, browser=browser, address="192.0.2.1")


def test_a_passkey_logs_in_the_account_that_it_was_made_for(
    person: Person, device: SoftAuthenticator
) -> None:
    add(person, device)
    device.sign_count = 1
    handle = encode(person.id.encode())
    assert log_in(person, device.get(asked(), userHandle=handle)) == person.id
    device.sign_count = 2
    with pytest.raises(PasskeyRefused):
        log_in(person, device.get(asked(), userHandle=encode(b"usr_another")))


def test_an_answer_is_good_once_and_so_is_each_older_one(person: Person, device: SoftAuthenticator) -> None:
    """Also from devices that share a passkey, which count nothing."""
    add(person, device)
    older, answer = device.get(asked()), device.get(asked())
    assert log_in(person, answer) == person.id
    for used in (answer, older):
        with pytest.raises(PasskeyRefused, match="used already"):
            log_in(person, used)


def test_what_is_done_with_a_passkey_is_in_the_audit_log_of_whose_it_is(
    person: Person, device: SoftAuthenticator
) -> None:
    Person(person.databases, "another@example.com")
    add(person, device)
    answer = device.get(asked())
    log_in(person, answer)
    with pytest.raises(PasskeyRefused):
        log_in(person, answer)
    with person.databases.read.session() as session:
        [passkey] = passkeys.read_all(session, person.id)
    passkeys.remove(person.write, passkey, actor=TESTER)

    assert passkey.id.startswith("psk_")
    columns = AuditEntry.action, AuditEntry.target, AuditEntry.actor, AuditEntry.address
    entries = select(*columns).where(AuditEntry.action.like("passkey.%")).order_by(AuditEntry.id)
    with person.databases.read.connect() as connection:
        assert [tuple(row) for row in connection.execute(entries)] == [
            ("passkey.add", person.id, TESTER.name, TESTER.address),
            ("passkey.refuse", person.id, "ada@example.com", "192.0.2.1"),
            ("passkey.remove", person.id, TESTER.name, TESTER.address),
        ]


def test_of_a_renamed_passkey_the_audit_log_says_both_names(
    person: Person, device: SoftAuthenticator
) -> None:
    add(person, device)
    with person.databases.read.session() as session:
        [passkey] = passkeys.read_all(session, person.id)
    passkeys.rename(person.write, passkey, "Key ring", actor=TESTER)
    entries = select(AuditEntry.target, AuditEntry.details).where(AuditEntry.action == "passkey.rename")
    with person.databases.read.connect() as connection:
        [(target, details)] = connection.execute(entries)
    assert (target, json.loads(details)) == (person.id, {"name": "Key ring", "was": "Phone"})


def test_a_passkey_logs_in_again_and_no_other_is_touched(person: Person, device: SoftAuthenticator) -> None:
    other = SoftAuthenticator(PARTY.origin, PARTY.host, credential_id=b"another")
    add(person, device)
    add(person, other)
    for _ in range(2):
        assert log_in(person, device.get(asked())) == person.id
    with person.databases.read.session() as session:
        kept = passkeys.read_all(session, person.id)
    assert sorted(each.last_used_at is None for each in kept) == [False, True]


def test_of_two_devices_with_one_passkey_that_count_alike_one_gets_in(
    person: Person, device: SoftAuthenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though both were looked up before either was let in."""
    add(person, device)
    device.sign_count = 5
    first, second = device.get(asked()), device.get(asked())
    with person.databases.read.session() as session:
        [looked_up] = passkeys.read_all(session, person.id)
    monkeypatch.setattr(passkeys, "_find", lambda *_: looked_up)
    assert log_in(person, first) == person.id
    with pytest.raises(PasskeyRefused, match="used already"):
        log_in(person, second)


def test_of_many_with_one_answer_at_once_one_gets_in(person: Person, device: SoftAuthenticator) -> None:
    add(person, device)
    answer = device.get(asked())

    def try_it(_: int) -> int:
        try:
            log_in(person, answer)
        except PasskeyRefused:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(try_it, range(16))) == 1


def test_a_copy_of_the_device_shows_by_its_count(person: Person, device: SoftAuthenticator) -> None:
    add(person, device)
    device.sign_count = 5
    assert log_in(person, device.get(asked()))
    device.sign_count = 5
    with pytest.raises(PasskeyRefused, match="sign count"):
        log_in(person, device.get(asked()))


@pytest.mark.parametrize(
    "change",
    [
        lambda device: replace(device, origin="https://evil.example"),
        lambda device: replace(device, origin="http://hooks.example.com"),
        lambda device: replace(device, host="evil.example"),
        lambda device: replace(device, flags=PRESENT),  # touched, but by whom?
        lambda device: replace(device, flags=0),
        lambda device: replace(device, credential_id=b"another"),
        lambda device: SoftAuthenticator(device.origin, device.host),  # another key under that id
    ],
)
def test_what_another_device_or_site_signed_logs_nobody_in(
    person: Person, device: SoftAuthenticator, change: Callable[[SoftAuthenticator], SoftAuthenticator]
) -> None:
    add(person, device)
    with pytest.raises(PasskeyRefused):
        log_in(person, change(device).get(asked()))


def test_a_device_that_verifies_nobody_is_not_added(person: Person, device: SoftAuthenticator) -> None:
    for other in (replace(device, flags=PRESENT), replace(device, host="evil.example")):
        with pytest.raises(PasskeyRefused):
            add(person, other)


def test_a_challenge_is_of_its_browser_its_purpose_and_its_account(
    person: Person, device: SoftAuthenticator
) -> None:
    with pytest.raises(PasskeyRefused):
        add(person, device, browser="another")
    add(person, device)
    with pytest.raises(PasskeyRefused):
        log_in(person, device.get(asked("another")))
    adding = passkey_ceremonies.creation_options(PARTY, person.user, (), browser=BROWSER)
    with pytest.raises(PasskeyRefused):
        log_in(person, device.get(adding))
    with pytest.raises(PasskeyRefused):
        log_in(person, device.get(json.dumps({"challenge": encode(b"x" * 56)})))


def test_a_challenge_ends() -> None:
    now = clock.now()
    challenge = passkey_challenges.new("k", "p", now=now)
    assert passkey_challenges.issued_at("k", "p", challenge, now=now) == now
    for moment in (now + passkey_challenges.LIFE + timedelta(seconds=1), now - timedelta(seconds=1)):
        with pytest.raises(BadChallenge):
            passkey_challenges.issued_at("k", "p", challenge, now=moment)
    for other in (challenge[:-1], b"", bytes([challenge[0] ^ 1]) + challenge[1:]):
        with pytest.raises(BadChallenge):
            passkey_challenges.issued_at("k", "p", other, now=now)


def nonsense(answer: str) -> list[str]:
    """What parsers meet: no JSON, other types, and the answer with each of its parts broken."""
    found = json.loads(answer)
    others: tuple[Any, ...] = (None, [], "x", {})
    broken: list[Any] = [found | {"response": part} for part in others]
    for name in found["response"]:
        for value in ("", "AA", "!", None, 7, encode(b"\xff" * 40), encode(b"\x9f" * 2000)):
            broken.append(found | {"response": found["response"] | {name: value}})
    broken += [found | {"id": value} for value in (None, 7, "x" * 5000, "\ud800", "\0", "")]
    broken += [found | {"rawId": "AA"}, found | {"type": "x"}]
    texts = ["", "null", "[]", "{", "[" * 20_000, "é", "x" * 40_000]
    return texts + [json.dumps(each) for each in broken]


def test_what_is_no_answer_is_refused(person: Person, device: SoftAuthenticator) -> None:
    for text in nonsense(
        device.create(passkey_ceremonies.creation_options(PARTY, person.user, (), browser=BROWSER))
    ):
        with pytest.raises(PasskeyRefused):
            passkeys.add(person.write, PARTY, person.user, text, "x", browser=BROWSER, actor=TESTER)
    add(person, device)
    for text in nonsense(device.get(asked())):
        with pytest.raises(PasskeyRefused):
            log_in(person, text)


def test_so_many_refusals_of_an_account_are_recorded_within_an_hour(
    person: Person, device: SoftAuthenticator
) -> None:
    add(person, device)
    stranger = SoftAuthenticator(PARTY.origin, PARTY.host, credential_id=device.credential_id)
    for _ in range(passkeys.RECORDED_REFUSALS + 2):
        with pytest.raises(PasskeyRefused):
            log_in(person, stranger.get(asked()))
    with person.databases.read.session() as session:
        refused = select(AuditEntry.id).where(AuditEntry.action == "passkey.refuse")
        assert len(session.scalars(refused).all()) == passkeys.RECORDED_REFUSALS


def test_one_device_is_added_once_and_so_many_in_all(person: Person, device: SoftAuthenticator) -> None:
    add(person, device)
    with pytest.raises(PasskeyRefused, match="known already"):
        add(person, device)
    for number in range(2):
        add(person, replace(device, credential_id=str(number).encode()), most=3)
    with pytest.raises(TooManyPasskeys) as refused:
        add(person, replace(device, credential_id=b"one more"), most=3)
    assert refused.value.count == 3


def test_of_many_that_are_added_at_once_no_more_stay_than_there_may_be(
    person: Person, device: SoftAuthenticator
) -> None:
    for number in range(passkeys.MOST - 1):
        add(person, replace(device, credential_id=str(number).encode()))

    together = Barrier(8)

    def add_another(number: int) -> None:
        together.wait(30)
        with suppress(TooManyPasskeys):
            add(person, replace(device, credential_id=f"another {number}".encode()))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_another, range(16)))
    with person.databases.read.session() as session:
        assert len(passkeys.read_all(session, person.id)) == passkeys.MOST


def test_a_reset_removes_passkeys_too(person: Person, device: SoftAuthenticator) -> None:
    add(person, device)
    second_factors.reset(person.write, person.user, actor=TESTER)
    with pytest.raises(PasskeyRefused, match="nobody"):
        log_in(person, device.get(asked()))


@pytest.mark.parametrize(
    ("base_url", "origin"),
    [
        ("https://hooks.example.com", "https://hooks.example.com"),
        ("https://example.com:8443/tools/hooks", "https://example.com:8443"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("https://exämple.com", "https://xn--exmple-cua.com"),
        ("http://127.0.0.1:8000", None),
        ("http://[::1]:8000", None),
    ],
)
def test_passkeys_are_for_the_name_of_the_console(base_url: str, origin: str | None) -> None:
    found = passkey_ceremonies.relying_party(base_url, "k")
    assert (found.origin if found else None) == origin
