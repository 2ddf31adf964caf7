"""Memberships that a provider's groups give, and take again at the next log-in.

One that an admin gave stays as the admin left it. A workspace never loses its last admin to a group.
"""

import logging
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from webhooks_app.accounts import members
from webhooks_app.accounts.audit import Actor
from webhooks_app.accounts.members import LastAdmin
from webhooks_app.core.oidc_settings import GroupGrant
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Member, Role, Workspace

log = logging.getLogger(__name__)

GROUPS = Actor("groups of the provider")


def granted_roles(groups: Collection[str] | None, grants: Sequence[GroupGrant]) -> dict[str, Role]:
    """Return the role in each workspace that the groups give; of several the higher one."""
    found: dict[str, Role] = {}
    for grant in grants:
        if grant.group in (groups or ()) and found.get(grant.workspace_id) is not Role.ADMIN:
            found[grant.workspace_id] = Role(grant.role)
    return found


def apply(
    database: WriteDatabase, user_id: str, groups: Collection[str] | None, grants: Sequence[GroupGrant]
) -> None:
    """Make the person's memberships what their groups say, in the workspaces that the grants name."""
    if not grants:
        return
    roles = granted_roles(groups, grants)
    mapped = {grant.workspace_id for grant in grants}
    with database.begin() as connection:
        there = set(connection.scalars(select(Workspace.id).where(Workspace.id.in_(mapped))))
        found = connection.execute(select(Member).where(Member.user_id == user_id)).all()
    current = {row.workspace_id: row for row in found}
    for workspace_id in sorted(there):
        _apply_one(database, workspace_id, user_id, roles.get(workspace_id), current.get(workspace_id))
    for workspace_id in mapped - there:
        log.warning("group_of_no_workspace", extra={"workspace_id": workspace_id})


def _apply_one(
    database: WriteDatabase, workspace_id: str, user_id: str, role: Role | None, current: Any
) -> None:
    if current is None:
        if role is not None:
            _add(database, workspace_id, user_id, role)
        return
    if not current.is_from_groups or current.role is role:
        return
    member = Member(workspace_id=workspace_id, user_id=user_id)
    try:
        if role is None:
            members.remove(database, member, actor=GROUPS)
        else:
            members.change_role(database, member, role, actor=GROUPS)
    except LastAdmin:
        log.warning("last_admin_left_group", extra={"workspace_id": workspace_id, "user_id": user_id})


def _add(database: WriteDatabase, workspace_id: str, user_id: str, role: Role) -> None:
    is_theirs = Member.workspace_id == workspace_id, Member.user_id == user_id
    try:
        with database.begin() as connection:
            members.add_in_transaction(connection, workspace_id, user_id, role, actor=GROUPS)
            connection.execute(update(Member).where(*is_theirs).values(is_from_groups=True))
    except IntegrityError:
        log.info("member_already", extra={"workspace_id": workspace_id, "user_id": user_id})
