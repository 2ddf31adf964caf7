"""Endpoints by what people call them."""

from typing import Any

from webhooks_app.cli.api_client import ApiClient, segment


def find_endpoint(client: ApiClient, named: str) -> dict[str, Any]:
    """Return the endpoint of that id or name. Raises ApiFailure."""
    path = named if named.startswith("ep_") else f"by-name/{segment(named)}"
    found: dict[str, Any] = client.request("GET", f"/endpoints/{path}").body
    return found


def endpoint_id(client: ApiClient, named: str) -> str:
    """Return the id as it is, or that of the endpoint of that name. Raises ApiFailure."""
    return named if named.startswith("ep_") else str(find_endpoint(client, named)["id"])
