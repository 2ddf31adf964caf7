"""Every code that a document shows runs in a test, or `code_blocks.toml` says why none can run it."""

import ast
import tomllib
from pathlib import Path

import pytest

from docs_site.navigation import ROOT
from tests.docs_site import code_blocks

LISTED = tomllib.loads(Path(__file__).with_name("code_blocks.toml").read_text())
DOCUMENTS = [each for each in code_blocks.documents() if code_blocks.blocks(each)]
BLOCKS = [
    (document, name)
    for names_by_document in (*LISTED["run"].values(), *LISTED["cannot_run"].values())
    for document, names in names_by_document.items()
    for name in names
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_block_of_a_document_is_run_or_cannot_be(document: str) -> None:
    if document.startswith(tuple(LISTED["folders"])):
        return
    shown = [each.name for each in code_blocks.blocks(document)]
    assert [name for name in shown if (document, name) not in BLOCKS] == [], (
        "say in code_blocks.toml what runs it"
    )


def test_what_is_listed_is_shown_and_listed_once() -> None:
    shown = {(each, block.name) for each in DOCUMENTS for block in code_blocks.blocks(each)}
    assert [each for each in BLOCKS if each not in shown] == []
    assert len(BLOCKS) == len(set(BLOCKS))


@pytest.mark.parametrize("test", sorted({*LISTED["run"], *LISTED["folders"].values()}))
def test_the_tests_that_run_them_are_there(test: str) -> None:
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_no_command_is_passed_off_as_output() -> None:
    for document, names in LISTED["cannot_run"]["It is what a program prints."].items():
        languages = {each.language for each in code_blocks.blocks(document) if each.name in names}
        assert languages == {"text"}
