"""Retention of sessions: as long as their cookie can be good for something, and no longer."""

from datetime import timedelta

from sqlalchemy import select, update

from tests.conftest import PASSWORD, TESTER
from webhooks_app.accounts import sessions, users
from webhooks_app.accounts.sessions import Browser
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import SignInMethod, User, UserSession
from webhooks_app.deliveries import retention


def test_a_session_goes_once_no_cookie_can_be_of_it(databases: Databases) -> None:
    user_id = users.add(databases.write, email="ada@example.com", name="Ada", password=PASSWORD)
    now = clock.now()
    for days in (0, 30, 33):
        sessions.begin(databases.write, user_id, SignInMethod.PASSWORD, Browser(f"192.0.2.{days}"))
        seen = update(UserSession).where(UserSession.address == f"192.0.2.{days}")
        with databases.write.begin() as connection:
            connection.execute(seen.values(last_seen_at=now - timedelta(days=days)))
    with databases.read.session() as session:
        user = session.get_one(User, user_id)
    users.end_sessions(databases.write, user, actor=TESTER)

    retention.delete_expired(databases, now=now)

    with databases.read.connect() as connection:
        left = connection.execute(select(UserSession.address, UserSession.ended_at)).all()
    assert {row.address for row in left} == {"192.0.2.0", "192.0.2.30"}
    assert all(row.ended_at for row in left)  # what has ended refuses its cookie until then
