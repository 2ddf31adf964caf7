"""The audit log: who did what, when, from where."""

from typing import Any

from flask import abort, g, render_template, request, url_for

from webhooks_app.accounts import audit_log
from webhooks_app.accounts.audit_log import Entry
from webhooks_app.extensions import db
from webhooks_app.web.access import WORKSPACE, workspace_blueprint
from webhooks_app.web.layout import is_fragment

blueprint = workspace_blueprint("audit", __name__, WORKSPACE + "/audit")

# The page of what an entry is about, by the prefix of its id.
TARGET_PAGES = {
    "ep": ("endpoints.show", "endpoint_id"),
    "dlv": ("deliveries.show", "delivery_id"),
    "rcv": ("recoveries.show", "recovery_id"),
}


@blueprint.get("/")
def index() -> str:
    wanted = audit_log.parse(request.args)
    try:
        page = audit_log.read_page(
            db.session(), g.workspace.id, wanted, before=request.args.get("before", "")
        )
    except audit_log.BadCursor:
        abort(400)
    return render_template(
        "audit/_entries.html" if is_fragment() else "audit/index.html",
        wanted=wanted,
        page=page,
        kinds=audit_log.KINDS,
        is_first="before" not in request.args,
    )


@blueprint.app_template_global()
def target_url(entry: Entry) -> str:
    """The page of what the entry is about, or nothing where there is none."""
    view, parameter = TARGET_PAGES.get(entry.target.partition("_")[0], ("", ""))
    if not view or entry.action == "endpoint.delete":
        return ""
    values: dict[str, Any] = {parameter: entry.target}
    return url_for(view, **values)
