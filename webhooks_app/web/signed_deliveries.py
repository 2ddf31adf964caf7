"""A curl that signs afresh: the command on a delivery's page, and what it asks for by itself.

The command has no signature in it, so that it works when it is pasted and not only when it was copied. It
sends a grant in a body, where no log of addresses keeps it, and hands curl what comes back.
"""

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, g, render_template, request
from flask_login import current_user

from webhooks_app.core import text_display
from webhooks_app.deliveries import signing_grants
from webhooks_app.deliveries.log.rows import DeliveryRow
from webhooks_app.deliveries.signing_grants import GRANT_LIFE, GrantRefused
from webhooks_app.extensions import services
from webhooks_app.transport.target_urls import LONGEST_URL
from webhooks_app.web.access import actor, admin_required
from webhooks_app.web.delivery_page import render_delivery
from webhooks_app.web.delivery_rows import load_row
from webhooks_app.web.responses import PageResponse, is_fragment

PATH = "/signed-delivery"
_REFUSED = "This command has expired or may not sign this delivery any more. Make a new one.\n"
_NO_URL = "A url must begin with http:// or https:// and have no control characters.\n"


def add_routes(blueprint: Blueprint) -> None:
    blueprint.post("/<delivery_id>/command")(make_command)


def add_open_routes(blueprint: Blueprint) -> None:
    blueprint.post(PATH)(sign)


@admin_required
def make_command(delivery_id: str) -> PageResponse:
    """Show the delivery with a command that signs it afresh."""
    row = load_row(delivery_id)
    if row.payload_erased_at:
        abort(404)  # nothing is left to sign
    command = _command(row)
    if is_fragment():
        return render_template("deliveries/_command.html", row=row, command=command)
    return render_delivery(row, command=command)


def sign() -> Response:
    """Return what curl is to send, for whoever has a grant; `url` sends it elsewhere than to its endpoint."""
    url = request.form.get("url", "")
    if url and not _is_usable(url):
        return _text(_NO_URL, 400)
    found, key = services(), services().settings.secret_key
    grant, address = request.form.get("grant", ""), request.remote_addr or ""
    try:
        signed = signing_grants.redeem(found.databases, found.cipher, key, grant, address=address)
    except GrantRefused:
        return _text(_REFUSED, 403)
    return _text(text_display.curl_config(url or signed.url, signed.headers, signed.body), 200)


def _command(row: DeliveryRow) -> dict[str, Any]:
    settings = services().settings
    grant = signing_grants.make(
        services().write,
        settings.secret_key,
        g.workspace.id,
        row.id,
        current_user.id,
        actor=actor(),
    )
    ask = f"curl -fsS {settings.base_url}{PATH} --data-urlencode grant={grant}"
    return {"text": f"{ask} \\\n  | curl -sS -i --config -", "minutes": int(GRANT_LIFE.total_seconds()) // 60}


def _is_usable(url: str) -> bool:
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        return False
    return len(url) <= LONGEST_URL and url.isprintable() and scheme in ("http", "https")


def _text(content: str | bytes, status: int) -> Response:
    headers = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
    return Response(content, status, headers)
