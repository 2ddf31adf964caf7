"""Commands to copy that do something real on this deployment."""

import json

from webhooks_app.core import text_display
from webhooks_app.core.ids import PLACEHOLDER_TOKEN
from webhooks_app.extensions import services


def sample_event(token: str = PLACEHOLDER_TOKEN) -> str:
    """Return a command that sends an event of the catalog's first type."""
    first = services().catalog.event_types[0]
    body = json.dumps({"type": first.name, "data": first.example}, indent=2)
    base = services().settings.base_url
    headers = [("Authorization", f"Bearer {token}"), ("Content-Type", "application/json")]
    return text_display.curl_command(f"{base}/api/v1/events", headers, body)
