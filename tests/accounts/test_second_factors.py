"""Second factors: on only once shown, and each code good once, whoever else is trying."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from tests.conftest import PASSWORD, TESTER, Workspace
from webhooks_app.accounts import recovery_codes, second_factors, sessions, totp, users
from webhooks_app.accounts.second_factors import AlreadyOn
from webhooks_app.accounts.sessions import Browser
from webhooks_app.core import clock
from webhooks_app.core.encryption import Cipher
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import AuditEntry, RecoveryCode, SignInMethod, TotpSecret, User, UserSession
from webhooks_app.db.models import Workspace as WorkspaceRow
from webhooks_app.endpoints import key_rotation
from webhooks_app.extensions import db

OLD = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
NEW = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
CIPHER = Cipher([OLD])
MakeWorkspace = Callable[[str], Workspace]


class Person:
    """Somebody with an account and nothing else."""

    def __init__(self, databases: Databases, email: str = "ada@example.com") -> None:
        self.databases, self.write = databases, databases.write
        self.id = users.add(self.write, email=email, name="Ada", password=PASSWORD)

    @property
    def user(self) -> User:
        with self.databases.read.session() as session:
            return session.get_one(User, self.id)

    def secret(self) -> str:
        with self.databases.read.session() as session:
            return second_factors.pending_secret(session, CIPHER, self.id)

    def code(self, secret: str, steps: int = 0) -> str:
        return totp.code_of(secret, totp.step_at(clock.now()) + steps)

    def turn_on(self) -> tuple[str, list[str]]:
        """Set an app up; return its secret and the recovery codes."""
        second_factors.begin(self.write, CIPHER, self.user)
        secret = self.secret()
        code = self.code(secret, -1)  # so that the present one is left
        return secret, second_factors.confirm(self.write, CIPHER, self.user, code, actor=TESTER, keep="")

    def try_code(self, code: str) -> bool:
        return second_factors.use_code(self.write, CIPHER, self.id, code, now=clock.now())


@pytest.fixture(autouse=True)
def clock_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """No step of the codes ends between two lines of a test."""
    moment = clock.now()
    monkeypatch.setattr(clock, "now", lambda: moment)


@pytest.fixture
def person(databases: Databases) -> Person:
    return Person(databases)


def test_it_is_on_only_once_a_code_was_shown(person: Person) -> None:
    second_factors.begin(person.write, CIPHER, person.user)
    secret = person.secret()
    assert person.user.second_factor_at is None
    assert not person.try_code(person.code(secret))
    refused = second_factors.confirm(person.write, CIPHER, person.user, "000000", actor=TESTER, keep="")
    assert (refused, person.user.second_factor_at) == ([], None)
    person.turn_on()
    assert person.user.second_factor_at is not None
    assert person.secret() == ""
    with pytest.raises(AlreadyOn):
        second_factors.begin(person.write, CIPHER, person.user)


def test_an_app_that_was_never_confirmed_is_replaced(person: Person) -> None:
    second_factors.begin(person.write, CIPHER, person.user)
    before = person.secret()
    second_factors.begin(person.write, CIPHER, person.user)
    assert person.secret() not in ("", before)


def test_an_app_that_is_not_confirmed_in_time_is_none(person: Person) -> None:
    second_factors.begin(person.write, CIPHER, person.user)
    code = person.code(person.secret())
    with person.write.begin() as connection:
        connection.execute(update(TotpSecret).values(created_at=clock.now() - second_factors.SETUP_LIFE))
    assert person.secret() == ""
    assert second_factors.confirm(person.write, CIPHER, person.user, code, actor=TESTER, keep="") == []
    assert person.user.second_factor_at is None
    person.turn_on()
    assert person.user.second_factor_at is not None


def test_a_code_is_good_once_and_so_is_each_older_one(person: Person) -> None:
    secret, _ = person.turn_on()
    assert not person.try_code(person.code(secret, -1))  # it has turned it on
    assert person.try_code(person.code(secret))
    assert not person.try_code(person.code(secret))
    assert not person.try_code(person.code(secret, -1))


def test_a_code_leaves_it_as_it_is_since_when_it_is_on(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, _ = person.turn_on()
    since = select(TotpSecret.confirmed_at).where(TotpSecret.user_id == person.id)
    with person.databases.read.connect() as connection:
        before = connection.scalar(since)
    later = clock.now() + timedelta(hours=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert person.try_code(person.code(secret))
    with person.databases.read.connect() as connection:
        assert connection.scalar(since) == before


def test_only_ones_own_workspaces_demand_it(workspace: Workspace, make_workspace: MakeWorkspace) -> None:
    admin = db.session.scalars(select(User.id).where(User.email == workspace.admin_email)).one()
    other = make_workspace("Initech")
    for each in (workspace, other):
        db.session.execute(
            update(WorkspaceRow).where(WorkspaceRow.id == each.id).values(requires_second_factor=True)
        )
    assert second_factors.requiring_workspaces(db.session(), admin) == ["Acme"]
    db.session.rollback()


def test_of_many_with_one_code_at_once_one_gets_in(person: Person) -> None:
    secret, recovery = person.turn_on()
    code = person.code(secret)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: person.try_code(code), range(16))) == 1
        recovered = pool.map(
            lambda _: second_factors.use_recovery_code(person.write, person.id, recovery[0], actor=TESTER),
            range(16),
        )
        assert sum(recovered) == 1


def test_recovery_codes_are_counted_and_replaced(person: Person) -> None:
    _, codes = person.turn_on()
    assert len(set(codes)) == recovery_codes.COUNT
    assert second_factors.use_recovery_code(
        person.write, person.id, codes[0].upper().replace("-", " "), actor=TESTER
    )
    assert not second_factors.use_recovery_code(person.write, person.id, "", actor=TESTER)
    with person.databases.read.session() as session:
        assert recovery_codes.count_left(session, person.id) == recovery_codes.COUNT - 1
    new = second_factors.renew_codes(person.write, person.user, actor=TESTER)
    assert not second_factors.use_recovery_code(person.write, person.id, codes[1], actor=TESTER)
    assert second_factors.use_recovery_code(person.write, person.id, new[0], actor=TESTER)


def test_a_recovery_code_is_four_groups_of_80_random_bits(person: Person) -> None:
    _, codes = person.turn_on()
    assert all(re.fullmatch(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}", code) for code in codes)


def test_each_step_is_in_the_audit_log_of_whose_it_is(person: Person) -> None:
    _, codes = person.turn_on()
    second_factors.use_recovery_code(person.write, person.id, "wrong", actor=TESTER)
    second_factors.use_recovery_code(person.write, person.id, codes[0], actor=TESTER)
    second_factors.renew_codes(person.write, person.user, actor=TESTER)
    second_factors.turn_off(person.write, person.user, actor=TESTER)
    second_factors.reset(person.write, person.user, actor=TESTER)

    entries = select(AuditEntry.action, AuditEntry.target, AuditEntry.actor).order_by(AuditEntry.id)
    with person.databases.read.connect() as connection:
        found = [tuple(row) for row in connection.execute(entries) if row.action.startswith("second_factor.")]
    steps = ("on", "recover", "codes", "off", "reset")
    assert found == [(f"second_factor.{step}", person.id, TESTER.name) for step in steps]


def test_it_is_turned_off_for_one_person_alone(person: Person, databases: Databases) -> None:
    person.turn_on()
    other = Person(databases, "bob@example.com")
    secret, codes = other.turn_on()

    second_factors.turn_off(person.write, person.user, actor=TESTER)

    assert person.user.second_factor_at is None
    assert other.user.second_factor_at is not None
    assert other.try_code(other.code(secret))
    assert second_factors.use_recovery_code(other.write, other.id, codes[0], actor=TESTER)


def test_nothing_stored_opens_it(person: Person) -> None:
    secret, codes = person.turn_on()
    with person.databases.read.connect() as connection:
        rows = [*connection.execute(select(TotpSecret)), *connection.execute(select(RecoveryCode))]
    stored = repr(rows)
    assert secret not in stored
    assert not [code for code in codes if code in stored or code.replace("-", "") in stored]


def test_turning_it_on_ends_the_sessions_that_did_not_show_it(person: Person) -> None:
    for _ in range(2):
        sessions.begin(person.write, person.id, SignInMethod.PASSWORD, Browser("192.0.2.1"))
    key = person.user.session_key
    person.turn_on()
    with person.databases.read.connect() as connection:
        assert None not in connection.scalars(select(UserSession.ended_at)).all()
    assert person.user.session_key != key


def test_a_reset_leaves_nothing(person: Person) -> None:
    _, codes = person.turn_on()
    second_factors.reset(person.write, person.user, actor=TESTER)
    assert person.user.second_factor_at is None
    assert not second_factors.use_recovery_code(person.write, person.id, codes[0], actor=TESTER)
    with person.databases.read.connect() as connection:
        assert connection.execute(select(TotpSecret)).all() == []


def test_new_keys_open_it_after_a_rotation(person: Person, databases: Databases) -> None:
    secret, _ = person.turn_on()
    assert key_rotation.reencrypt_all(databases, Cipher([NEW, OLD])) == 1
    code, now = person.code(secret), clock.now()
    assert second_factors.use_code(person.write, Cipher([NEW]), person.id, code, now=now)


def test_without_its_key_the_app_is_of_no_use_but_recovery_codes_are(person: Person) -> None:
    secret, codes = person.turn_on()
    other = Cipher([NEW])
    assert not second_factors.use_code(person.write, other, person.id, person.code(secret), now=clock.now())
    assert second_factors.use_recovery_code(person.write, person.id, codes[0], actor=TESTER)
