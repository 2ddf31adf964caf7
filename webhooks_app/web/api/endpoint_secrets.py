"""An endpoint's signing secrets over the API."""

from flask import Response

from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core.clock import format_optional, format_rfc3339
from webhooks_app.core.encryption import DecryptionError
from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints import signing_secrets
from webhooks_app.endpoints.signing_secrets import RevealedSecret
from webhooks_app.extensions import services
from webhooks_app.web.api import answer_models, preconditions
from webhooks_app.web.api.authentication import actor
from webhooks_app.web.api.endpoints import reload
from webhooks_app.web.api.errors import refuse
from webhooks_app.web.api.input_models import RotateInput
from webhooks_app.web.api.loading import load_endpoint, refuse_unknown
from webhooks_app.web.api.operations import Operation, respond, respond_empty


def list_secrets(endpoint_id: str) -> Response:
    secrets = _reveal(load_endpoint(endpoint_id))
    return respond(answer_models.Secrets([_answer(each) for each in secrets], None))


def rotate_secret(endpoint_id: str, body: RotateInput) -> Response:
    endpoint = load_endpoint(endpoint_id)
    overlap = signing_secrets.OVERLAPS[body.overlap.value]
    signing_secrets.rotate(
        services().write,
        services().cipher,
        endpoint,
        overlap=overlap,
        seen_at=preconditions.seen_at(endpoint),
        actor=actor(),
    )
    return respond(_answer(_reveal(reload(endpoint))[0]), 201)


def revoke_secret(endpoint_id: str, secret_id: str) -> Response:
    endpoint = load_endpoint(endpoint_id)
    secret = next((each for each in endpoint.secrets if each.id == secret_id), None)
    if secret is None:
        refuse_unknown("secret")
    if secret.expires_at is None:
        message = "The current secret cannot be revoked. Rotate it with the overlap “now”."
        refuse(409, "current_secret", message)
    signing_secrets.revoke(services().write, endpoint, secret_id, actor=actor())
    return respond_empty()


def _reveal(endpoint: Endpoint) -> list[RevealedSecret]:
    try:
        return signing_secrets.reveal_each(services().write, services().cipher, endpoint, actor=actor())
    except DecryptionError:
        message = "The secret cannot be decrypted. Rotate it with the overlap “now”; the keys need a check."
        refuse(409, "secret_unreadable", message)


def _answer(secret: RevealedSecret) -> answer_models.Secret:
    return answer_models.Secret(
        id=secret.id,
        secret=secret.value,
        created_at=format_rfc3339(secret.created_at),
        expires_at=format_optional(secret.expires_at),
    )


_TAG = "Signing secrets"

OPERATIONS = (
    Operation(
        id="listSecrets",
        method="GET",
        path="/endpoints/{endpoint_id}/secrets",
        view=list_secrets,
        tag=_TAG,
        summary="Read the signing secrets in force",
        description="Newest first. Each reading is recorded in the audit log.",
        scope=TokenScope.ENDPOINTS_WRITE,
        answers={200: answer_models.Secrets},
        errors=(404, 409),
    ),
    Operation(
        id="rotateSecret",
        method="POST",
        path="/endpoints/{endpoint_id}/secrets",
        view=rotate_secret,
        tag=_TAG,
        summary="Rotate the signing secret",
        description="A new secret signs at once; those before it sign, too, until the overlap has passed.",
        scope=TokenScope.ENDPOINTS_WRITE,
        body=RotateInput,
        is_body_optional=True,
        answers={201: answer_models.Secret},
        headers=("If-Match",),
        errors=(404, 409, 412, 422),
    ),
    Operation(
        id="revokeSecret",
        method="DELETE",
        path="/endpoints/{endpoint_id}/secrets/{secret_id}",
        view=revoke_secret,
        tag=_TAG,
        summary="Stop a previous secret before its time",
        description="One that has stopped already stays so.",
        scope=TokenScope.ENDPOINTS_WRITE,
        answers={204: None},
        errors=(404, 409),
    ),
)
