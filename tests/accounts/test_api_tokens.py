"""API tokens: what is kept of one, and what the audit log says, on both databases."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from tests.conftest import TESTER, Workspace
from webhooks_app.accounts import api_tokens
from webhooks_app.accounts.api_tokens import LiveToken
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core import clock, passwords
from webhooks_app.core.rate_limit import RateLimit
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ApiToken, AuditEntry
from webhooks_app.extensions import db

EXPIRES_AT = datetime(2199, 1, 1, tzinfo=UTC)


def tokens(workspace: Workspace) -> list[ApiToken]:
    db.session.rollback()
    chosen = select(ApiToken).where(ApiToken.workspace_id == workspace.id, ApiToken.name == "billing")
    return list(db.session.scalars(chosen))


def audited(action: str) -> list[tuple[str, str, str]]:
    db.session.rollback()
    chosen = select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)
    return [
        (each.actor, each.target, json.loads(each.details)["name"]) for each in db.session.scalars(chosen)
    ]


def details_of(action: str) -> dict[str, str]:
    """What the newest entry of that kind says."""
    db.session.rollback()
    chosen = select(AuditEntry.details).where(AuditEntry.action == action).order_by(AuditEntry.id.desc())
    details: dict[str, str] = json.loads(db.session.scalars(chosen.limit(1)).one())
    return details


@pytest.fixture
def token(workspace: Workspace, database: WriteDatabase) -> str:
    return api_tokens.create(database, workspace.id, "billing", actor=TESTER)


def test_of_a_token_its_hash_and_a_hint_are_kept(workspace: Workspace, database: WriteDatabase) -> None:
    token = api_tokens.create(database, workspace.id, "billing", actor=TESTER)
    [kept] = tokens(workspace)
    assert kept.id.startswith("tok_")
    assert kept.token_hash == passwords.hash_token(token)
    assert (kept.hint, len(kept.hint)) == (token[:8], 8)
    assert kept.revoked_at is None


def test_a_token_is_audited_when_created_and_when_revoked(
    workspace: Workspace, database: WriteDatabase
) -> None:
    token = api_tokens.create(database, workspace.id, "billing", actor=TESTER)
    [kept] = tokens(workspace)
    assert audited("token.create")[-1] == (TESTER.name, kept.id, "billing")

    assert api_tokens.revoke(database, kept, actor=TESTER)
    assert audited("token.revoke") == [(TESTER.name, kept.id, "billing")]
    assert not api_tokens.revoke(database, kept, actor=TESTER)

    assert audited("token.revoke") == [(TESTER.name, kept.id, "billing")]
    assert tokens(workspace)[0].revoked_at is not None
    assert token not in str(audited("token.create"))


def find(database: WriteDatabase, *some: str) -> list[LiveToken]:
    hashes = [passwords.hash_token(each) for each in some]
    with database.begin() as connection:
        found = api_tokens.find(connection, hashes)
    assert set(found) <= set(hashes)
    return [found[each] for each in hashes if each in found]


def set_last_used_at(database: WriteDatabase, moment: datetime) -> None:
    with database.begin() as connection:
        connection.execute(update(ApiToken).values(last_used_at=moment))


def test_only_live_tokens_are_found(workspace: Workspace, database: WriteDatabase, token: str) -> None:
    other = api_tokens.create(database, workspace.id, "shipping", actor=TESTER)
    [kept] = tokens(workspace)
    assert find(database, token, "tok_unknown") == [LiveToken(kept.id, workspace.id, None, "billing")]

    assert api_tokens.revoke(database, kept, actor=TESTER)

    assert len(find(database, token, other, workspace.token)) == 2


def test_the_first_use_of_a_token_is_recorded_and_of_no_other(
    workspace: Workspace, database: WriteDatabase, token: str
) -> None:
    [unused] = find(database, token)
    before = clock.now()
    api_tokens.record_use(database, unused)

    [used], [other] = find(database, token), find(database, workspace.token)
    assert used.last_used_at is not None and before <= used.last_used_at <= clock.now()
    assert other.last_used_at is None


@pytest.mark.parametrize(("age_seconds", "is_recorded"), [(30, False), (61, True), (119, True)])
def test_a_use_is_recorded_once_a_minute(
    database: WriteDatabase, token: str, age_seconds: int, is_recorded: bool
) -> None:
    earlier = clock.now() - timedelta(seconds=age_seconds)
    set_last_used_at(database, earlier)
    [found] = find(database, token)
    assert found.last_used_at == earlier

    api_tokens.record_use(database, found)

    [after] = find(database, token)
    assert (after.last_used_at != earlier) is is_recorded


def test_a_use_that_another_process_has_just_recorded_is_not_recorded_again(
    database: WriteDatabase, token: str
) -> None:
    [unused] = find(database, token)
    just_now = clock.now() - timedelta(seconds=5)
    set_last_used_at(database, just_now)

    api_tokens.record_use(database, unused)

    [after] = find(database, token)
    assert after.last_used_at == just_now


def test_an_expired_token_is_not_found(workspace: Workspace, database: WriteDatabase) -> None:
    now = clock.now()
    ends = (now + timedelta(hours=1), now - timedelta(seconds=1))
    good, ended = (
        api_tokens.create(database, workspace.id, "billing", expires_at=end, actor=TESTER) for end in ends
    )
    assert len(find(database, good, ended)) == 1
    assert find(database, ended) == []
    assert sorted(each.is_live(now) for each in tokens(workspace)) == [False, True]


def test_a_token_has_expired_at_its_moment(
    workspace: Workspace, database: WriteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = clock.now() + timedelta(hours=1)
    token = api_tokens.create(database, workspace.id, "billing", expires_at=end, actor=TESTER)
    for early, is_found in ((timedelta(microseconds=1), True), (timedelta(), False)):
        monkeypatch.setattr(clock, "now", lambda moment=end - early: moment)
        assert bool(find(database, token)) is is_found


@pytest.mark.parametrize(
    ("rate", "said"), [(7, "7 events a second, 70 at once"), (None, "as the settings say")]
)
def test_another_rate_of_a_token_is_in_the_audit_log(
    workspace: Workspace, database: WriteDatabase, token: str, rate: int | None, said: str
) -> None:
    [kept] = tokens(workspace)
    assert api_tokens.change_limit(database, kept, rate_per_second=rate, burst=None, actor=TESTER)
    assert details_of("token.limit") == {"name": "billing", "rate_limit": said}


def test_scopes_and_rate_of_a_token_are_found_with_it(workspace: Workspace, database: WriteDatabase) -> None:
    scopes = [TokenScope.ENDPOINTS_WRITE]
    token = api_tokens.create(
        database,
        workspace.id,
        "billing",
        scopes=scopes,
        expires_at=EXPIRES_AT,
        rate_per_second=7,
        actor=TESTER,
    )
    [found] = find(database, token)
    assert (found.scopes, found.limit) == (frozenset(scopes), RateLimit(7, 70))
    assert details_of("token.create") == {
        "name": "billing",
        "scopes": "endpoints:write",
        "expires_at": "2199-01-01T00:00:00.000Z",
        "rate_limit": "7 events a second, 70 at once",
    }
