"""The workspace of the first `run`, with an endpoint that leads to the demo consumer."""

import json
import os
import re
import secrets
from pathlib import Path

from webhooks_app.accounts import workspaces
from webhooks_app.cli import demo_admin
from webhooks_app.cli.shell_arguments import SHELL
from webhooks_app.cli.workspaces import set_up
from webhooks_app.config import ConfigError
from webhooks_app.core.encryption import DecryptionError
from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints import actions, signing_secrets
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.extensions import db
from webhooks_app.services import Services


def create_demo(services: Services, path: Path, consumer_port: int) -> dict[str, str]:
    """Return what to show of the demo, from its file; of a database without workspaces, make both first.

    `secrets` are the endpoint's signing secrets, separated by spaces. Without that file, or with its endpoint
    deleted, they are empty.
    """
    url = f"http://127.0.0.1:{consumer_port}/webhooks"
    if workspaces.is_empty(services.read):
        _write_private(path, json.dumps(_create(services, url)))
    try:
        known: dict[str, str] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {"secrets": ""}
    endpoint = db.session.get(Endpoint, known["endpoint"])
    if endpoint is None or endpoint.deleted_at is not None:
        return known | {"secrets": ""}
    _follow_port(services, endpoint, url)
    try:
        in_force = signing_secrets.reveal(services.write, services.cipher, endpoint, actor=SHELL)
    except DecryptionError:
        raise ConfigError(
            "The encryption keys do not open the secrets in the database: they were encrypted with others. "
            "Put those back; see WEBHOOKS_ENCRYPTION_KEYS."
        ) from None
    return known | {"secrets": " ".join(in_force)}


def _create(services: Services, url: str) -> dict[str, str]:
    password = secrets.token_urlsafe(12)
    workspace_id, token = set_up(services.write, "Acme", demo_admin.EMAIL, password)
    values = EndpointValues(name="Demo consumer", url=url, all_events=True, event_types=())
    endpoint_id = actions.create(services.write, services.cipher, workspace_id, values, actor=SHELL)
    return {"email": demo_admin.EMAIL, "password": password, "token": token, "endpoint": endpoint_id}


def _follow_port(services: Services, endpoint: Endpoint, url: str) -> None:
    """Point the endpoint at where the consumer listens this time, unless it was put to other use.

    One with custom headers was: their values must not go to another port unasked.
    """
    is_demo = re.fullmatch(r"http://127\.0\.0\.1:\d+/webhooks", endpoint.url)
    if endpoint.url == url or not is_demo or endpoint.headers_encrypted:
        return
    values = EndpointValues(
        name=endpoint.name,
        url=url,
        all_events=endpoint.all_events,
        event_types=endpoint.event_types,
        timeout_ms=endpoint.timeout_ms,
        rate_per_second=endpoint.rate_per_second,
    )
    actions.change(services.write, services.cipher, endpoint, values, actor=SHELL)


def _write_private(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
