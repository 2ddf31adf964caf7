"""The sessions of the console: how one begins, whose it is, and the answer to a request without one."""

import logging
from urllib.parse import urlsplit

from flask import Flask, Response, g, make_response, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_login import LoginManager, login_user
from sqlalchemy import and_, select

from webhooks_app.accounts import sessions
from webhooks_app.accounts.sessions import Browser
from webhooks_app.core import passwords
from webhooks_app.db import transient_errors
from webhooks_app.db.models import Member, SignInMethod, User, UserSession, Workspace
from webhooks_app.extensions import db, services
from webhooks_app.web.api import errors as api_errors
from webhooks_app.web.responses import is_fragment

log = logging.getLogger(__name__)

# What the cookie holds of a session, beside what Flask-Login keeps there.
_TOKEN = "token"


class ConsoleSessions(SecureCookieSessionInterface):
    """Sessions of the console; an answer of the API depends on no cookie, and says so."""

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if not api_errors.is_api():
            super().save_session(app, session, response)


def register(app: Flask, login: LoginManager) -> None:
    app.session_interface = ConsoleSessions()
    login.user_loader(load_user)
    login.unauthorized_handler(ask_to_log_in)


def begin(user: User, method: SignInMethod) -> None:
    """Log the person in with this request's answer; nothing from before the log-in goes on after it."""
    session.clear()
    session[_TOKEN] = sessions.begin(services().write, user.id, method, browser())
    login_user(user)


def keep(user_id: str) -> User:
    """Give this session the account's new key, which the others do not have; return its user."""
    user = db.session.get_one(User, user_id, populate_existing=True)
    login_user(user)
    return user


def current() -> UserSession | None:
    """Return the session of this request; None also for one that a version without this table has begun."""
    found: UserSession | None = g.get("user_session")
    return found


def current_id() -> str:
    """Return the id of the session of this request, or nothing where it is not listed yet."""
    found = current()
    return found.id if found else ""


def browser() -> Browser:
    return Browser(request.remote_addr or "", request.user_agent.string)


def load_user(session_id: str) -> User | None:
    """Return the session's user, or None if the session has ended; sets `g.user_session`.

    On a page of a workspace that the user is a member of, sets `g.member` and `g.workspace`, too: every
    such page needs all four, and one statement reads them.
    """
    user_id, _, key = session_id.partition(":")
    token = session.get(_TOKEN) or _token_of_older_version(user_id)
    is_theirs = and_(Member.user_id == User.id, Member.workspace_id == g.get("workspace_id", ""))
    is_this = and_(UserSession.user_id == User.id, UserSession.token_hash == passwords.hash_token(token))
    row = db.session.execute(
        select(User, Member, Workspace, UserSession)
        .outerjoin(Member, is_theirs)
        .outerjoin(Workspace, Workspace.id == Member.workspace_id)
        .outerjoin(UserSession, is_this)
        .where(User.id == user_id, User.session_key == key)
    ).first()
    if row is None or not _goes_on(row.UserSession, user_id, token):
        return None
    user, member, workspace, _ = row
    if member is not None:
        g.member, g.workspace = member, workspace
    return user


def _goes_on(found: UserSession | None, user_id: str, token: str) -> bool:
    """Return whether the session may be used, and note that it is."""
    if found is None and _TOKEN in session:
        return False
    if found is not None and found.ended_at is not None:
        # The row goes in the end, and a cookie of an older version would begin anew. Its other values stay:
        # the form that this request fills in or shows has its token from them.
        session.pop("_user_id", None)
        return False
    g.user_session = found
    database = services().write.with_short_lock_timeout()
    try:
        if found is not None:
            sessions.record_use(database, found, browser())
        elif token:
            sessions.adopt(database, user_id, token, browser())
    except transient_errors.DATABASE_ERRORS as error:  # a page that can be read needs no such note
        transient_errors.raise_unless_transient(error)
        log.info("session_use_not_recorded", extra={"reason": transient_errors.reason(error)})
    return True


def _token_of_older_version(user_id: str) -> str:
    """Return a token for a cookie without one: versions before the table of sessions began it.

    Flask-WTF's random value stands in each such cookie from its first page on, and never changes.
    """
    value = session.get("csrf_token")
    return f"older version {user_id} {value}" if value else ""


def ask_to_log_in() -> Response:
    """Redirect to the log-in page and from there back; a fragment tells htmx to go as a whole page."""
    if is_fragment():
        response = make_response("", 401)
        response.headers["HX-Redirect"] = url_for("session.log_in", next=_current_page())
        # A 401 names a scheme (RFC 9110, 15.5.2); for one that it does not know, no browser asks anything.
        form = url_for("session.log_in")
        response.headers["WWW-Authenticate"] = f'Cookie realm="console", form-action="{form}"'
        return response
    target = request.script_root + request.full_path.rstrip("?") if request.method == "GET" else None
    return make_response(redirect(url_for("session.log_in", next=target)))


def _current_page() -> str | None:
    """Return the path of the page that htmx asks from."""
    try:
        here = urlsplit(request.headers.get("HX-Current-URL", ""))
    except ValueError:
        return None
    return f"{here.path}?{here.query}".rstrip("?") or None
