"""The shell's arguments, judged by the console's rules; and who acts in a shell, for the audit log."""

from collections.abc import Callable

import click

from webhooks_app.accounts.audit import Actor

SHELL = Actor("shell")
Callback = Callable[[click.Context, click.Parameter, str], str]


def checked_by(rule: Callable[[str], str]) -> Callback:
    """Return a callback that refuses what the rule refuses, with its sentence."""

    def check(_context: click.Context, _parameter: click.Parameter, typed: str) -> str:
        try:
            return rule(typed)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return check
