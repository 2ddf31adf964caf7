"""Who may see a page: a member of its workspace; who may change something: an admin of it."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import Blueprint, Response, abort, current_app, g, make_response, request
from flask_login import current_user
from sqlalchemy import select

from webhooks_app.accounts.audit import Actor
from webhooks_app.accounts.log_in_limits import Source
from webhooks_app.core import ids
from webhooks_app.db.models import (
    ApiToken,
    Endpoint,
    Invitation,
    Member,
    Recovery,
    Role,
    SavedFilter,
    Workspace,
)
from webhooks_app.extensions import db, login
from webhooks_app.web.middleware import forwarded_headers
from webhooks_app.web.sign_in import second_factor_demand

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")
Owned = TypeVar("Owned", ApiToken, Invitation, Recovery, SavedFilter)

WORKSPACE = "/w/<workspace_id>"
WEBHOOKS = WORKSPACE + "/alerts/webhooks"
# The area of one's own account, where a second factor is set up that is demanded elsewhere.
OWN_ACCOUNT = "profile"


def workspace_blueprint(name: str, path: str) -> Blueprint:
    """Return a blueprint of a workspace's pages, which only its members see.

    Its views take no `workspace_id`, and find `g.workspace` and `g.member`; `path` begins with WORKSPACE or
    WEBHOOKS.
    """
    blueprint = Blueprint(name, __name__, url_prefix=path)
    blueprint.url_value_preprocessor(_take_workspace_id)
    blueprint.before_request(_check_membership)
    return blueprint


def fill_in_workspace_id(endpoint: str, values: dict[str, Any]) -> None:
    """Give `url_for` the workspace of the page, unless the caller named one."""
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
    """Return the workspaces that whoever is logged in is a member of, by name."""
    mine = select(Workspace).join(Member, Member.workspace_id == Workspace.id)
    return db.session.scalars(mine.where(Member.user_id == current_user.id).order_by(Workspace.name)).all()


def actor() -> Actor:
    """Return who acts in this request, for the audit log."""
    return Actor(current_user.email, request.remote_addr or "")


def source_of(device: str) -> Source:
    """Return where this try of a password comes from: `device` where the browser is known, or nothing."""
    return Source(request.remote_addr or "", forwarded_headers.unbelieved_client(), device)


def load_endpoint(endpoint_id: str) -> Endpoint:
    """Return the workspace's endpoint; 404 for another's, a deleted or an unknown one."""
    endpoint = db.session.get(Endpoint, endpoint_id)
    if endpoint is None or endpoint.workspace_id != g.workspace.id or endpoint.deleted_at is not None:
        abort(404)
    return endpoint


def load_kept_endpoint(endpoint_id: str) -> Endpoint:
    """Return one that is set up here; 404 for a listener, too, which is its program's to set up."""
    endpoint = load_endpoint(endpoint_id)
    if endpoint.is_listener:
        abort(404)
    return endpoint


def check_endpoint(endpoint_id: str) -> None:
    """Answer 404 unless it is, or was, the workspace's: the log outlives a deleted endpoint."""
    endpoint = db.session.get(Endpoint, endpoint_id)
    if endpoint is None or endpoint.workspace_id != g.workspace.id:
        abort(404)


def load_member(user_id: str) -> Member:
    """Return the workspace's member; 404 for anybody else."""
    member = db.session.get(Member, (g.workspace.id, user_id))
    if member is None:
        abort(404)
    return member


def load_owned(model: type[Owned], public_id: str) -> Owned:
    """Return the workspace's row of that model; 404 for another's or an unknown one."""
    row = db.session.get(model, public_id)
    if row is None or row.workspace_id != g.workspace.id:
        abort(404)
    return row


def _take_workspace_id(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Set `g.workspace_id`, which `sessions.load_user` reads; nothing where it cannot be a workspace's."""
    workspace_id = (values or {}).pop("workspace_id", "")
    g.workspace_id = workspace_id if ids.is_id("ws", workspace_id) else ""


def _check_membership() -> Response | None:
    if not current_user.is_authenticated:
        return make_response(login.unauthorized())
    if "member" not in g:
        abort(404)
    return None if request.blueprint == OWN_ACCOUNT else second_factor_demand.answer()


def _takes_workspace(endpoint: str) -> bool:
    return current_app.url_map.is_endpoint_expecting(endpoint, "workspace_id")
