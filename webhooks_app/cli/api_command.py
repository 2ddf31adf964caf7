"""How each command begins that talks to a platform over its API, and how it ends where that fails."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click

from webhooks_app.cli import profiles
from webhooks_app.cli.api_answers import ApiFailure
from webhooks_app.cli.api_client import ApiClient
from webhooks_app.cli.profiles import ProfileError

Function = Callable[..., Any]


class ApiCommand(click.Command):
    """A command whose wrong use ends with status 64 (sysexits.h), as 2 tells of changes in `avra apply`.

    `scopes` are those that each call of it needs, which a request that lacks one tells of only one by one.
    """

    def __init__(self, *args: Any, scopes: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.scopes = tuple(scopes)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            error.show()
            sys.exit(os.EX_USAGE)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:  # of a value that was looked at later
            error.show()
            sys.exit(os.EX_USAGE)


def with_client(function: Function) -> Function:
    """Give the command `--profile`, and its function the ApiClient of the profile as `client`.

    A command that has `--json` gets its failures as JSON, too: one object on standard error.
    """

    @click.option("--profile", "profile_name", metavar="NAME", help="A profile of the configuration file.")
    @wraps(function)
    def begin(*args: Any, profile_name: str | None, **options: Any) -> Any:
        is_json = bool(options.get("is_json"))
        with clear_failures(is_json=is_json):
            profile = profiles.read(os.environ, profile_name)
            if profile.shows_token and not is_json:  # of which programs read standard error, too
                click.echo(
                    f"warning: {profile.url} is no https: who is on the way reads the token.", err=True
                )
            with ApiClient(profile) as client, _naming_scopes():
                return function(*args, client=client, **options)

    return begin


@contextmanager
def _naming_scopes() -> Iterator[None]:
    """Have what a token lacks for a request be told with all else that the command needs."""
    try:
        yield
    except ApiFailure as failure:
        command = click.get_current_context().command
        needed = command.scopes if isinstance(command, ApiCommand) else ()
        scopes = [scope for scope in dict.fromkeys((*needed, failure.missing_scope)) if scope]
        if failure.missing_scope is None or len(scopes) == 1:
            raise
        raise _lacking(failure, scopes) from failure


def _lacking(failure: ApiFailure, scopes: Sequence[str]) -> ApiFailure:
    """Return the failure with several scopes, in the sentence that the platform has for one."""
    message = (
        f"This API token may not do that; it needs the scopes {' and '.join(scopes)}. An admin adds a token"
        " that has them under API tokens in the console, an operator by: avra tokens add WORKSPACE NAME"
    ) + "".join(f" --scope {scope}" for scope in scopes)
    return ApiFailure(message, status=failure.status, code=failure.code)


@contextmanager
def clear_failures(*, is_json: bool = False) -> Iterator[None]:
    """End the process with a sentence, and a status of its own, for what a person has to put right."""
    try:
        yield
    except (ApiFailure, ProfileError) as error:
        failure = (
            error.as_json() if isinstance(error, ApiFailure) else {"code": "profile", "message": str(error)}
        )
        click.echo(json.dumps({"error": failure}) if is_json else f"error: {error}", err=True)
        sys.exit(error.exit_code)
