"""How each command begins that talks to a platform over its API, and how it ends where that fails."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn

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
        is_json = "--json" in args  # which parsing takes out of them
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            _end_usage(error, is_json=is_json)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:  # of a value that was looked at later
            _end_usage(error, is_json=bool(ctx.params.get("is_json")))


def _end_usage(error: click.UsageError, *, is_json: bool) -> NoReturn:
    if is_json:
        print_failure("usage", error.format_message())
    else:
        error.show()
    sys.exit(os.EX_USAGE)


def print_failure(code: str, message: str, **more: Any) -> None:
    """Print on standard error, for programs, what went wrong before the platform was asked."""
    failure = {"code": code, "message": message, "field": None, "status": 0} | more
    click.echo(json.dumps({"error": failure}), err=True)


def confirm(question: str, *, is_json: bool) -> None:
    """Ask a person, on standard error; without a terminal, read the answer.

    With `is_json` nothing but JSON is printed there. Raises click.Abort at a no, and click.UsageError where
    there is nobody to answer.
    """
    if sys.stdin is not None and sys.stdin.isatty():
        click.confirm(question, abort=True, err=True)
        return
    if not is_json:
        click.echo(f"{question} [y/N]: ", err=True)
    answer = sys.stdin.readline() if sys.stdin is not None else ""
    if not answer:
        raise click.UsageError("There is nobody to ask: say --yes.")
    if answer.strip().lower() in {"y", "yes"}:
        return
    if is_json:
        raise click.UsageError("The answer was no: nothing was done.")
    raise click.Abort


def with_client(function: Function) -> Function:
    """Give the command `--profile`, and its function the ApiClient of the profile as `client`.

    A command that has `--json` gets its failures as JSON, too: one object on standard error.
    """

    @click.option("--profile", "profile_name", metavar="NAME", help="A profile of the configuration file.")
    @wraps(function)
    def begin(*args: Any, profile_name: str | None, **options: Any) -> Any:
        is_json = bool(options.get("is_json"))
        with exit_on_api_failure(is_json=is_json):
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
def exit_on_api_failure(*, is_json: bool = False) -> Iterator[None]:
    """End the process with a sentence, and a status of its own, for what a person has to put right."""
    try:
        yield
    except (ApiFailure, ProfileError) as error:
        if not is_json:
            click.echo(f"error: {error}", err=True)
        elif isinstance(error, ApiFailure):
            click.echo(json.dumps({"error": error.as_json()}), err=True)
        else:
            print_failure("profile", str(error))
        sys.exit(error.exit_code)
