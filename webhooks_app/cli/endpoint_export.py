"""`avra export`: writes the file of endpoints that `avra apply` reads."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from webhooks_app.cli.api_client import ApiClient
from webhooks_app.cli.api_command import ApiCommand, with_client
from webhooks_app.core.text_display import MASK, flatten
from webhooks_app.core.url_masking import mask_url

_PLAIN = re.compile("[A-Za-z][A-Za-z0-9_-]*")
# What YAML takes for something else than a text.
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_HEAD = "# Written by avra export. Values of headers stay as they are stored; write ${NAME} to set one."
_MASKED = "  # the masked part stays as it is stored"


@click.command(cls=ApiCommand)
@click.option("--managed-by", metavar="NAME", help="Only what this manages.")
@click.option("--unmasked-urls", is_flag=True, help="Write URLs with what may be a credential in them.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file, made anew.")
@with_client
def export(client: ApiClient, managed_by: str | None, unmasked_urls: bool, output: Path | None) -> None:
    """Write a workspace's endpoints as such a file."""
    found = sorted(client.each("/endpoints"), key=lambda each: (each["name"], each["id"]))
    chosen = [each for each in found if managed_by in (None, each["managed_by"])]
    _refuse_ambiguous(chosen)
    text = "\n".join(_lines(chosen, managed_by, is_masked=not unmasked_urls)) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        # URLs may hold what lets somebody in.
        with open(output, "x", encoding="utf-8", opener=partial(os.open, mode=0o600)) as file:
            file.write(text)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from None
    endpoints = "1 endpoint is" if len(chosen) == 1 else f"{len(chosen)} endpoints are"
    click.echo(f"{endpoints} in {output}.", err=True)


def _refuse_ambiguous(endpoints: Sequence[Mapping[str, Any]]) -> None:
    """A file has each name once."""
    counts = Counter(each["name"] for each in endpoints)
    if twice := [name for name, count in counts.items() if count > 1]:
        names = ", ".join(map(flatten, twice))
        raise click.ClickException(f"Several endpoints have one name: {names}. Rename all but one.")


def _lines(
    endpoints: Sequence[Mapping[str, Any]], managed_by: str | None, *, is_masked: bool
) -> Iterator[str]:
    yield from (_HEAD, "version: 1")
    if managed_by:
        yield f"managed_by: {_quoted(managed_by)}"
    if not endpoints:
        yield "endpoints: {}"
        return
    yield "endpoints:"
    for endpoint in endpoints:
        yield f"  {_quoted(endpoint['name'])}:"
        yield from (f"    {line}" for line in _settings(endpoint, is_masked=is_masked))


def _settings(endpoint: Mapping[str, Any], *, is_masked: bool) -> Iterator[str]:
    url = mask_url(endpoint["url"]) if is_masked else endpoint["url"]
    yield f"url: {_quoted(url.replace('$', '$$'))}{_MASKED if MASK in url else ''}"
    if endpoint["all_events"]:
        yield "all_events: true"
    else:
        yield "event_types:"
        yield from (f"  - {_quoted(name)}" for name in endpoint["event_types"])
    yield f"timeout_seconds: {endpoint['timeout_seconds']}"
    if endpoint["rate_per_second"]:
        yield f"rate_per_second: {endpoint['rate_per_second']}"
    if endpoint["state"] == "disabled":
        yield "disabled: true"
    if endpoint["headers"]:
        yield "headers:"
        yield from (f"  {_quoted(each['name'])}:" for each in endpoint["headers"])


def _quoted(text: str) -> str:
    """Return the text as YAML reads it back; bare where nothing in it could mean something else."""
    is_plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS
    return text if is_plain else json.dumps(text, ensure_ascii=False)
