"""The commands that documents name are there, with their options."""

import re
import shlex
from typing import Any

import pytest

from avra_client import relay_command
from docs_site.navigation import ROOT
from tests.docs_site import code_blocks
from webhooks_app.cli.main import main

# A record says what was so when it was decided, and the changelog what changed.
DOCUMENTS = [
    each
    for each in code_blocks.documents()
    if not each.startswith(("CHANGELOG", "docs/decisions", "docs/reference"))
]
_AVRA = r"(?:\.?venv/bin/)?(avra [a-z][^`\n)|#]+)"


def named(pattern: str) -> list[tuple[str, str]]:
    """Return what the documents name within a line or in blocks of code, with the document."""
    found = list[tuple[str, str]]()
    for document in DOCUMENTS:
        for each in code_blocks.blocks(document):
            if each.language in ("sh", "console"):
                beginning = rf"(?:^|[$(] ?)(?:\w+=\S+ )*{pattern}"
                found += [(document, command) for command in re.findall(beginning, each.code, re.MULTILINE)]
        found += [(document, each) for each in re.findall(f"`{pattern}`", code_blocks.text(document))]
    return found


COMMANDS = sorted({command.strip().rstrip('"') for _, command in named(_AVRA)})
TARGETS = sorted({target for _, target in named(r"make ([a-z][a-z-]*)(?: [^`\n]*)?")})


@pytest.mark.parametrize("command", COMMANDS)
def test_the_shells_commands_are_there_with_these_options(command: str) -> None:
    """Parsed as the shell would, and not carried out: tests/cli/ does that."""
    words = shlex.split(command)[1:]
    group: Any = main
    context = main.make_context("avra", list(words))
    name, found, rest = group.resolve_command(context, words)
    while hasattr(found, "resolve_command") and rest:
        group = found
        name, found, rest = group.resolve_command(context, rest)
    assert found.name == name
    known = {option for each in found.params for option in each.opts} | {"--help"}
    assert [word for word in rest if word.startswith("--") and word not in known] == []


def test_the_targets_of_make_are_there() -> None:
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert len(TARGETS) > 10
    assert set(TARGETS) <= made


def test_the_commands_of_the_relay_are_there() -> None:
    parser = relay_command._parser()
    for _, command in named(r"(?:\.?\.?/?venv/bin/)?(avra-relay [^`\n)]+)"):
        words = command.replace("ID…", "id").split("  #")[0].split()[1:]
        if words[0].startswith("--help"):
            continue
        if words[0] == "--table" and len(words) == 2:
            words.append("counts")
        parser.parse_args(words)


def test_the_commands_that_the_platform_itself_names_are_there() -> None:
    """In its pages, and in the sentences of its answers, problems and errors."""
    sources = [path for folder in ("templates", "webhooks_app") for path in (ROOT / folder).rglob("*.*")]
    texts = [path.read_text() for path in sources if path.suffix in (".html", ".py")]
    found = {name for text in texts for name in re.findall(r"[ `>]avra ([a-z][a-z-]+)", text)}
    assert len(found) > 10
    assert found <= {*main.list_commands(main.make_context("avra", ["--help"], resilient_parsing=True))}
