"""Flask-Login's callbacks: the user of a session, and the answer to a request without one."""

from urllib.parse import urlsplit

from flask import Flask, Response, g, make_response, redirect, request, url_for
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_login import LoginManager
from sqlalchemy import and_, select

from webhooks_app.db.models import Member, User, Workspace
from webhooks_app.extensions import db
from webhooks_app.web.api import errors as api_errors
from webhooks_app.web.responses import is_fragment


class ConsoleSessions(SecureCookieSessionInterface):
    """Sessions of the console; an answer of the API depends on no cookie, and says so."""

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if not api_errors.is_api():
            super().save_session(app, session, response)


def register(app: Flask, login: LoginManager) -> None:
    app.session_interface = ConsoleSessions()
    login.user_loader(load_user)
    login.unauthorized_handler(ask_to_log_in)


def load_user(session_id: str) -> User | None:
    """Return the session's user, or None if the session has ended.

    On a page of a workspace that the user is a member of, sets `g.member` and `g.workspace`, too: every
    such page needs all three, and one statement reads them.
    """
    user_id, _, key = session_id.partition(":")
    is_theirs = and_(Member.user_id == User.id, Member.workspace_id == g.get("workspace_id", ""))
    row = db.session.execute(
        select(User, Member, Workspace)
        .outerjoin(Member, is_theirs)
        .outerjoin(Workspace, Workspace.id == Member.workspace_id)
        .where(User.id == user_id, User.session_key == key)
    ).first()
    if row is None:
        return None
    user, member, workspace = row
    if member is not None:
        g.member, g.workspace = member, workspace
    return user


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
