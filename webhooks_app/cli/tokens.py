"""API tokens from the shell: `tokens list`, `tokens add`, `tokens limit`, `tokens revoke`."""

from datetime import timedelta

import click
from sqlalchemy import select

from webhooks_app.accounts import api_tokens, input_rules, token_scopes
from webhooks_app.accounts.token_scopes import FIRST_SCOPES, TokenScope
from webhooks_app.cli import row_output
from webhooks_app.cli.account_lookup import find_workspace
from webhooks_app.cli.command_services import begin_command
from webhooks_app.cli.shell_arguments import SHELL, checked_by
from webhooks_app.core import clock
from webhooks_app.core.rate_limit import FASTEST_RATE, LARGEST_BURST, RateLimit
from webhooks_app.db.engines import ReadDatabase
from webhooks_app.db.models import ApiToken

_RATE = click.option(
    "--rate",
    type=click.IntRange(1, FASTEST_RATE),
    help="How many events a second it may send; by default as WEBHOOKS_TOKEN_RATE says.",
)
_BURST = click.option(
    "--burst",
    type=click.IntRange(1, LARGEST_BURST),
    help="How many events it may send at once after a pause; by default ten seconds' worth.",
)


@click.group("tokens")
def tokens_group() -> None:
    """List API tokens, add, limit and revoke them."""


@tokens_group.command("list")
@click.argument("workspace")
@row_output.as_json
def list_tokens(workspace: str, is_json: bool) -> None:
    """List the API tokens of WORKSPACE, which is its id or name; those that are over, too."""
    with begin_command() as opened, opened.read.session() as session:
        of_it = ApiToken.workspace_id == find_workspace(session, workspace).id
        found = session.scalars(select(ApiToken).where(of_it).order_by(ApiToken.id)).all()
        rows = [_row(each) for each in found]
    row_output.show(rows, is_json=is_json, nothing="It has no tokens.")


def _row(token: ApiToken) -> row_output.ListedRow:
    now = clock.now()
    ended = "revoked" if token.revoked_at else "expired"
    limit = RateLimit.of(token.rate_per_second, token.burst)
    return {
        "id": token.id,
        "name": token.name,
        "begins_with": token.hint,
        "scopes": token_scopes.join(token_scopes.parse(token.scopes)).split(),
        "state": "live" if token.is_live(now) else ended,
        "last_used": token.last_used_at,
        "expires": token.expires_at,
        "events_a_second": token.rate_per_second,
        "events_at_once": limit.burst if limit else None,
    }


@tokens_group.command("add")
@click.argument("workspace")
@click.argument("name", callback=checked_by(input_rules.check_name))
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in TokenScope]),
    metavar="SCOPE",
    help=f"What it may do; may be given several times. By default {' and '.join(sorted(FIRST_SCOPES))}; "
    f"others are {', '.join(scope for scope in TokenScope if scope not in FIRST_SCOPES)}.",
)
@click.option(
    "--days", type=click.IntRange(1, 3650), help="For how long it is good; by default until revoked."
)
@_RATE
@_BURST
def add_token(
    workspace: str, name: str, scopes: tuple[str, ...], days: int | None, rate: int | None, burst: int | None
) -> None:
    """Add an API token to WORKSPACE and print it. It is not shown again."""
    _check_burst(rate, burst)
    with begin_command() as opened:
        with opened.read.session() as session:
            found = find_workspace(session, workspace)
        click.echo(
            api_tokens.create(
                opened.write,
                found.id,
                name,
                scopes=[TokenScope(each) for each in scopes] or FIRST_SCOPES,
                expires_at=clock.now() + timedelta(days=days) if days else None,
                rate_per_second=rate,
                burst=burst,
                actor=SHELL,
            )
        )


@tokens_group.command("limit")
@click.argument("token_id")
@_RATE
@_BURST
def limit_token(token_id: str, rate: int | None, burst: int | None) -> None:
    """Change how many events the API token of that id may send; without options, to what the settings say."""
    _check_burst(rate, burst)
    with begin_command() as opened:
        token = _find(opened.read, token_id)
        if not api_tokens.change_limit(opened.write, token, rate_per_second=rate, burst=burst, actor=SHELL):
            raise click.ClickException(f"{token.name} is revoked.")
        limit = RateLimit.of(rate, burst)
        click.echo(f"{token.name} may send {limit}." if limit else f"{token.name} has no own limit.")


def _check_burst(rate: int | None, burst: int | None) -> None:
    if burst is not None and rate is None:
        raise click.UsageError("--burst needs --rate.")


def _find(database: ReadDatabase, token_id: str) -> ApiToken:
    with database.session() as session:
        token = session.get(ApiToken, token_id)
    if token is None:
        raise click.ClickException(f"There is no API token of the id {token_id}.")
    return token


@tokens_group.command("revoke")
@click.argument("token_id")
def revoke_token(token_id: str) -> None:
    """Revoke the API token of that id, as `tokens list` shows it; requests with it are refused at once."""
    with begin_command() as opened:
        token = _find(opened.read, token_id)
        if api_tokens.revoke(opened.write, token, actor=SHELL):
            click.echo(f"{token.name} is revoked.")
        else:
            click.echo(f"{token.name} had been revoked already.")
