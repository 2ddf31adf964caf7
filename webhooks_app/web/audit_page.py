"""The audit log: who did what, when, from where."""

from flask import Blueprint, abort, g, render_template, request

from webhooks_app.accounts import audit_log
from webhooks_app.extensions import db
from webhooks_app.web.responses import PageResponse, is_fragment


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(index)


def index() -> PageResponse:
    audit_filter = audit_log.parse(request.args)
    try:
        page = audit_log.read_page(
            db.session(), g.workspace.id, audit_filter, before=request.args.get("before", "")
        )
    except audit_log.BadCursor:
        abort(400)
    return render_template(
        "audit/_entries.html" if is_fragment() else "audit/index.html",
        audit_filter=audit_filter,
        page=page,
        kinds=audit_log.KINDS,
        is_first="before" not in request.args,
    )
