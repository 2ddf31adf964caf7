"""Who may see a page: a member of its workspace; who may change something: an admin of it."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, current_app, g, make_response, redirect, request, url_for
from flask_login import current_user
from sqlalchemy import select

from webhooks_app.accounts.audit import Actor
from webhooks_app.db.models import ApiToken, Endpoint, Invitation, Member, Recovery, Role, Workspace
from webhooks_app.extensions import db, login

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")
Owned = TypeVar("Owned", ApiToken, Invitation, Recovery)

WORKSPACE = "/w/<workspace_id>"
WEBHOOKS = WORKSPACE + "/alerts/webhooks"


def workspace_blueprint(name: str, import_name: str, path: str) -> Blueprint:
    """A blueprint under a workspace: its views take no `workspace_id`, and see `g.workspace`, `g.member`.

    `path` begins with WORKSPACE or WEBHOOKS.
    """
    blueprint = Blueprint(name, import_name, url_prefix=path)
    blueprint.url_value_preprocessor(_take_workspace_id)
    blueprint.before_request(_load_workspace)
    return blueprint


def fill_in_workspace_id(endpoint: str, values: dict[str, Any]) -> None:
    """`url_for` within a workspace needs no `workspace_id`."""
    if "workspace" in g and "workspace_id" not in values and _takes_workspace(endpoint):
        values["workspace_id"] = g.workspace.id


def admin_required(view: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    @wraps(view)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
        if g.member.role is not Role.ADMIN:
            abort(403)
        return view(*args, **kwargs)

    return guarded


def own_workspaces() -> Sequence[Workspace]:
    """Those that whoever is logged in is a member of, by name."""
    mine = select(Workspace).join(Member, Member.workspace_id == Workspace.id)
    return db.session.scalars(mine.where(Member.user_id == current_user.id).order_by(Workspace.name)).all()


def actor() -> Actor:
    return Actor(current_user.email, request.remote_addr or "")


def load_endpoint(endpoint_id: str) -> Endpoint:
    """The workspace's endpoint; 404 for another's, a deleted or an unknown one."""
    endpoint = db.session.get(Endpoint, endpoint_id)
    if endpoint is None or endpoint.workspace_id != g.workspace.id or endpoint.deleted_at is not None:
        abort(404)
    return endpoint


def check_endpoint(endpoint_id: str) -> None:
    """404 unless it is, or was, the workspace's: the log outlives a deleted endpoint."""
    endpoint = db.session.get(Endpoint, endpoint_id)
    if endpoint is None or endpoint.workspace_id != g.workspace.id:
        abort(404)


def load_member(user_id: str) -> Member:
    """The workspace's member; 404 for anybody else."""
    member = db.session.get(Member, (g.workspace.id, user_id))
    if member is None:
        abort(404)
    return member


def load_owned(model: type[Owned], public_id: str) -> Owned:
    """The workspace's row of that model; 404 for another's or an unknown one."""
    row = db.session.get(model, public_id)
    if row is None or row.workspace_id != g.workspace.id:
        abort(404)
    return row


def _current_page() -> str | None:
    """The path of the page that htmx asks from."""
    try:
        here = urlsplit(request.headers.get("HX-Current-URL", ""))
    except ValueError:
        return None
    return f"{here.path}?{here.query}".rstrip("?") or None


def _take_workspace_id(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    g.workspace_id = (values or {}).pop("workspace_id", None)


def _load_workspace() -> Response | None:
    if not current_user.is_authenticated:
        return make_response(login.unauthorized())
    member = db.session.get(Member, (g.workspace_id, current_user.id))
    if member is None:
        abort(404)
    g.member, g.workspace = member, db.session.get_one(Workspace, member.workspace_id)
    return None


def _takes_workspace(endpoint: str) -> bool:
    return current_app.url_map.is_endpoint_expecting(endpoint, "workspace_id")


@login.unauthorized_handler  # type: ignore[untyped-decorator]
def _ask_to_log_in() -> Response:
    """To the log-in page and back; a fragment tells htmx to go there as a whole page."""
    if request.headers.get("HX-Request-Type") == "partial":
        response = make_response("", 401)
        response.headers["HX-Redirect"] = url_for("session.log_in", next=_current_page())
        return response
    target = request.full_path.rstrip("?") if request.method == "GET" else None
    return make_response(redirect(url_for("session.log_in", next=target)))
