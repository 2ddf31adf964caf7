"""Erasing the payload of a delivery's event, from its page, which says first what goes and what stays."""

from flask import Blueprint, abort, flash, g, redirect, request, url_for
from werkzeug.wrappers import Response

from webhooks_app.deliveries.erasure import one_event
from webhooks_app.deliveries.erasure.erased_event import REQUEST_LIMITS
from webhooks_app.deliveries.erasure.one_event import (
    StillPending,
    UnknownEvent,
    UpgradeUnderWay,
)
from webhooks_app.extensions import services
from webhooks_app.web import erasure_messages
from webhooks_app.web.access import actor, admin_required
from webhooks_app.web.delivery_rows import load_row


def add_routes(blueprint: Blueprint) -> None:
    blueprint.post("/<delivery_id>/erase")(erase)


@admin_required
def erase(delivery_id: str) -> Response:
    event_id = load_row(delivery_id).event_id
    message, variant = _erase(event_id, cancel_pending="cancel" in request.form)
    flash(message, variant)
    anchor = None if variant == "success" else "erase"
    return redirect(url_for("deliveries.show", delivery_id=delivery_id, _anchor=anchor), 303)


def _erase(event_id: str, *, cancel_pending: bool) -> tuple[str, str]:
    """Erase it; return what to say of it, and in which variant."""
    try:
        erased = one_event.erase(
            services().databases,
            event_id,
            workspace_id=g.workspace.id,
            cancel_pending=cancel_pending,
            actor=actor(),
            limits=REQUEST_LIMITS,
        )
    except UnknownEvent:
        abort(404)  # retention has removed it meanwhile
    except UpgradeUnderWay as upgrade:
        return erasure_messages.explain_upgrade(upgrade), "danger"
    except StillPending as pending:
        return erasure_messages.explain_pending(pending, was_cancel_asked=cancel_pending), "danger"
    return erasure_messages.summarize(erased), "success"
