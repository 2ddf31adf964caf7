"""The Verify tab: how to check a delivery, and the secrets that sign it."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for

from webhooks_app.core import clock, signing
from webhooks_app.core.encryption import DecryptionError
from webhooks_app.db.models import Endpoint, SigningSecret
from webhooks_app.endpoints import signing_secrets
from webhooks_app.extensions import services
from webhooks_app.web import snippets
from webhooks_app.web.access import actor, admin_required, load_endpoint
from webhooks_app.web.forms.endpoint_action_forms import OVERLAP_LABELS, RotateForm
from webhooks_app.web.responses import PageResponse, is_fragment
from webhooks_app.web.snippets import LANGUAGES, Framework


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/endpoints/<endpoint_id>/verify")(verify)
    blueprint.post("/endpoints/<endpoint_id>/secret/reveal")(reveal)
    blueprint.post("/endpoints/<endpoint_id>/secret/rotate")(rotate)
    blueprint.post("/endpoints/<endpoint_id>/secret/<secret_id>/revoke")(revoke)


def verify(endpoint_id: str) -> PageResponse:
    endpoint = load_endpoint(endpoint_id)
    if is_fragment():
        return render_template("endpoints/_snippets.html", endpoint=endpoint, **_snippets())
    return _page(endpoint)


@admin_required
def reveal(endpoint_id: str) -> PageResponse:
    """Return the page itself, never stored: a redirect would need the secret in a URL or a session."""
    endpoint = load_endpoint(endpoint_id)
    try:
        revealed = signing_secrets.reveal(services().write, services().cipher, endpoint, actor=actor())
    except DecryptionError:
        flash("The secret cannot be decrypted. Rotate it; the encryption keys need a check.", "danger")
        return redirect(url_for("endpoints.verify", endpoint_id=endpoint_id), 303)
    if is_fragment():
        return render_template(
            "endpoints/_secret.html", endpoint=endpoint, secrets=_in_force(endpoint), revealed=revealed
        )
    return _page(endpoint, revealed=revealed)


@admin_required
def rotate(endpoint_id: str) -> PageResponse:
    endpoint, form = load_endpoint(endpoint_id), RotateForm()
    if not form.validate():
        return _page(endpoint, rotate_form=form)
    overlap = signing_secrets.OVERLAPS[form.overlap.data]
    signing_secrets.rotate(services().write, services().cipher, endpoint, overlap=overlap, actor=actor())
    previous = "The previous one signs too for now." if overlap else "The previous one has stopped."
    flash(f"A new secret signs from now on. {previous}", "success")
    return redirect(url_for("endpoints.verify", endpoint_id=endpoint_id), 303)


@admin_required
def revoke(endpoint_id: str, secret_id: str) -> PageResponse:
    endpoint = load_endpoint(endpoint_id)
    if secret_id not in {secret.id for secret in endpoint.secrets if secret.expires_at}:
        abort(404)
    if signing_secrets.revoke(services().write, endpoint, secret_id, actor=actor()):
        flash("The previous secret has stopped signing.", "success")
    else:
        flash("That secret had stopped signing already.", "info")
    return redirect(url_for("endpoints.verify", endpoint_id=endpoint_id), 303)


def _page(
    endpoint: Endpoint, *, revealed: list[str] | None = None, rotate_form: RotateForm | None = None
) -> PageResponse:
    page = render_template(
        "endpoints/verify.html",
        endpoint=endpoint,
        secrets=_in_force(endpoint),
        revealed=revealed,
        overlaps=OVERLAP_LABELS,
        rotate_form=rotate_form or RotateForm(formdata=None),
        tolerance_minutes=signing.TOLERANCE_SECONDS // 60,
        signing=signing,
        **_snippets(),
    )
    return page, 422 if rotate_form else 200


def _in_force(endpoint: Endpoint) -> list[SigningSecret]:
    """Return the secrets that sign at present, newest first, as `signing_secrets.reveal` has them."""
    now = clock.now()
    secrets = [secret for secret in endpoint.secrets if secret.expires_at is None or secret.expires_at > now]
    return sorted(secrets, key=lambda secret: (secret.created_at, secret.id), reverse=True)


def _snippets() -> dict[str, object]:
    language = LANGUAGES.get(request.args.get("language", ""), LANGUAGES[snippets.DEFAULT])
    framework = language.framework(request.args.get("framework", ""))
    return {
        "languages": LANGUAGES.values(),
        "language": language,
        "framework": framework,
        "codes": codes(framework),
        "secret_variable": "" if framework.key == snippets.ANY else snippets.SECRET_VARIABLE,
    }


def codes(framework: Framework) -> list[str]:
    """Return the framework's snippets, ready to copy."""
    return [
        render_template(f"snippets/{snippet.file}", signing=signing).strip() for snippet in framework.snippets
    ]
