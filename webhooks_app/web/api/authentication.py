"""Who calls the API: the API token that each request bears."""

from flask import g, request

from webhooks_app.accounts import api_tokens
from webhooks_app.accounts.api_tokens import LiveToken
from webhooks_app.accounts.audit import Actor
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core import passwords
from webhooks_app.core.ids import PLACEHOLDER_TOKEN
from webhooks_app.extensions import services
from webhooks_app.web.api.errors import refuse

# RFC 6750, section 3: what a 401 asks for, and what it says where a token came that is none.
CHALLENGE = 'Bearer realm="webhooks"'
INVALID_TOKEN = f'{CHALLENGE}, error="invalid_token", error_description="This API token is not valid."'

# As it comes in a header, whose bytes WSGI gives as Latin-1 (PEP 3333).
_PLACEHOLDER = PLACEHOLDER_TOKEN.encode().decode("latin-1")
_IS_PLACEHOLDER = (
    f"This is the {PLACEHOLDER_TOKEN} of an example: put an API token of your own in its place. An admin adds"
    " one under API tokens in the console, an operator by: avra tokens add WORKSPACE NAME"
)


def authenticate() -> None:
    """Set `g.workspace_id` and `g.token` from `Authorization: Bearer …` (RFC 6750). Raises ApiError."""
    token = bearer_token(request.headers.get("Authorization", ""))
    if token is None:
        message = f"Send an API token: Authorization: Bearer {PLACEHOLDER_TOKEN}"
        refuse(401, "unauthorized", message, headers={"WWW-Authenticate": CHALLENGE})
    token_hash = passwords.hash_token(token)
    with services().read.connect_autocommit() as connection:
        live = api_tokens.find(connection, [token_hash]).get(token_hash)
    if live is None:
        message = "This API token is not valid." if token != _PLACEHOLDER else _IS_PLACEHOLDER
        refuse(401, "unauthorized", message, headers={"WWW-Authenticate": INVALID_TOKEN})
    g.workspace_id, g.token = live.workspace_id, live
    api_tokens.record_use(services().write, live)


def require_scope(scope: TokenScope) -> None:
    """Raise ApiError unless the request's token may do this (RFC 6750, section 3.1)."""
    if scope in current_token().scopes:
        return
    message = (
        f"This API token may not do that; it needs the scope {scope}. An admin adds a token that has it"
        f" under API tokens in the console, an operator by: avra tokens add WORKSPACE NAME --scope {scope}"
    )
    challenge = f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'
    refuse(403, "insufficient_scope", message, headers={"WWW-Authenticate": challenge})


def current_token() -> LiveToken:
    """Return the token of the request, once `authenticate` has found it."""
    token: LiveToken = g.token
    return token


def actor() -> Actor:
    """Return who acts in this request, for the audit log: the token by its name and its id."""
    token = current_token()
    return Actor(f"API token “{token.name}” ({token.id})", request.remote_addr or "")


def bearer_token(authorization: str) -> str | None:
    """Return the token of an `Authorization` header, or None if it bears none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else None
