"""What options of the commands for a platform's API take, beyond click's own types."""

import re
from typing import Any

import click

from webhooks_app.cli import forwarding

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Url(click.ParamType[str]):
    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return forwarding.normalise(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Duration(click.ParamType[int]):
    """`90s`, `30m`, `2h` or `1d`, in seconds."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,6})([smhd])", str(value))
        if not found or not int(found[1]):
            self.fail("Give a time such as 90s, 30m, 2h or 1d.", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


class Header(click.ParamType[tuple[str, str]]):
    name = "'NAME: VALUE'"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        name, colon, text = str(value).partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name.strip()):
            self.fail("Give a header as 'Name: value'.", param, ctx)
        if not text.strip().isprintable():
            self.fail("The value holds a control character.", param, ctx)
        return name.strip(), text.strip()


class ListenerName(click.ParamType[str]):
    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        # As the API takes it.
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", str(value)):
            self.fail("Give up to 63 small letters, digits and hyphens, such as annas-laptop.", param, ctx)
        return str(value)
