"""A deployment's own files of event types: beside the built-in ones or in their place, and what is wrong."""

import os
from pathlib import Path

import pytest

from webhooks_app.events.catalog import CatalogError, load

ORDERS = '''
[[groups]]
key = "orders"
title = "Orders"

[[event_types]]
name = "order.paid"
title = "Order paid"
group = "orders"
description = "An order was paid"
indexed = ["order_id"]
schema = """
{
  "type": "object",
  "required": ["order_id"],
  "properties": {"order_id": {"type": "string"}}
}
"""
example = '{"order_id": "o_1"}'
'''
REPLACED = """
[[event_types]]
name = "batch-request"
group = "batches"
description = "As this deployment has it"
schema = '{"type": "object"}'
example = '{}'
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def problems(source: Path) -> list[str]:
    with pytest.raises(CatalogError) as raised:
        load(source)
    return [str(problem) for problem in raised.value.problems]


def test_a_file_adds_to_the_built_in_catalog_and_replaces_what_has_the_same_name(tmp_path: Path) -> None:
    loaded, built_in = load(write(tmp_path / "own.toml", ORDERS + REPLACED)), load()
    paid, replaced = loaded.get("order.paid"), loaded.get("batch-request")

    assert loaded.names == built_in.names | {"order.paid"}
    assert paid is not None and (paid.title, paid.indexed) == ("Order paid", ("order_id",))
    assert replaced is not None and replaced.description == "As this deployment has it"
    assert [group.title for group in loaded.groups] == [*(each.title for each in built_in.groups), "Orders"]
    # What is replaced keeps its place in the list.
    assert [each.name for each in loaded.event_types][:-1] == [each.name for each in built_in.event_types]


def test_a_file_can_stand_in_place_of_the_built_in_catalog(tmp_path: Path) -> None:
    loaded = load(write(tmp_path / "own.toml", "built_in = false\n" + ORDERS))

    assert loaded.names == {"order.paid"}
    assert [group.key for group in loaded.groups] == ["orders"]


def test_a_folders_files_are_one_catalog(tmp_path: Path) -> None:
    write(tmp_path / "a.toml", "built_in = false\n" + ORDERS)
    write(
        tmp_path / "b.toml",
        ORDERS.partition("[[event_types]]")[2].join(["[[event_types]]", ""]).replace("paid", "sent"),
    )
    write(tmp_path / "notes.txt", "no catalog")
    (tmp_path / "..data").mkdir()  # as a mounted ConfigMap has
    write(tmp_path / ".hidden.toml", "no TOML")

    assert load(tmp_path).names == {"order.paid", "order.sent"}
    assert [group.key for group in load(tmp_path).groups] == ["orders"]


def test_a_file_may_begin_with_a_byte_order_mark_and_end_its_lines_as_windows_does(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_bytes(b"\xef\xbb\xbf" + ORDERS.replace("\n", "\r\n").encode())
    assert "order.paid" in load(tmp_path).names


def test_a_group_can_be_renamed(tmp_path: Path) -> None:
    loaded = load(write(tmp_path / "own.toml", '[[groups]]\nkey = "batches"\ntitle = "Jobs"\n'))
    assert loaded.groups[0].title == "Jobs"


def test_all_problems_of_all_files_are_told_each_with_its_line(tmp_path: Path) -> None:
    write(
        tmp_path / "a.toml",
        ORDERS.replace('"type": "object",', '"type": "object"').replace("title =", "heading ="),
    )
    write(tmp_path / "b.toml", ORDERS.replace("o_1", "o_1\\"))
    write(tmp_path / "c.toml", "[[groups]\n")
    (tmp_path / "d.toml").write_bytes(b"# a\n# \xff\n")

    assert problems(tmp_path) == [
        'a.toml:2: group "orders": title is missing or empty',
        'a.toml:4: group "orders": there is no key "heading"; an entry has key, title',
        'a.toml:8: event type "order.paid": there is no key "heading"; an entry has name, group, title, '
        "description, schema, example, indexed",
        'a.toml:15: event type "order.paid": schema is not valid JSON: '
        "Expecting ',' delimiter: line 3 column 3 (char 23)",
        'b.toml:3: group "orders": the name is used twice, first in a.toml:2',
        'b.toml:7: event type "order.paid": the name is used twice, first in a.toml:6',
        'b.toml:19: event type "order.paid": example is not valid JSON: '
        "Unterminated string starting at: line 1 column 14 (char 13)",
        "c.toml:1: is not valid TOML: Expected ']]' at the end of an array declaration (at line 1, column 9)",
        "d.toml:2: is not valid TOML: it is not in UTF-8",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            REPLACED.replace("batch-request", "batch.request"),
            'own.toml:3: event type "batch.request": '
            'the name differs from "batch-request" in its punctuation alone',
        ),
        ("built_in = 1\n", "own.toml:1: built_in must be true or false"),
        ("built_in = false\n", "own.toml: the catalog has no event types"),
        ("\n\nevent_types = 7\n", "own.toml:3: event_types must be [[event_types]] entries"),
        ("a = 1\n", 'own.toml:1: there is no "a"; a catalog has built_in, [[groups]] and [[event_types]]'),
        ("groups = [{key = 7}]\n", "own.toml:1: group number 1: key is missing or empty"),
        (
            REPLACED.replace("'{}'", "'{\"a\": NaN}'"),
            'own.toml:7: event type "batch-request": example cannot be used: NaN is not a JSON number.',
        ),
        (
            REPLACED.replace("'{}'", '\'{"a": "\\ud800"}\''),
            'own.toml:7: event type "batch-request": example cannot be used: '
            "A string holds half of a surrogate pair.",
        ),
        (
            REPLACED.replace("'{}'", '\'{"a": 1, "a": 2}\''),
            'own.toml:7: event type "batch-request": example cannot be used: '
            "An object has the same key twice.",
        ),
        (
            REPLACED.replace("'{}'", f"'{'[' * 50_000}'"),
            'own.toml:7: event type "batch-request": example cannot be used: '
            "it has a number of too many digits, or is nested too deep",
        ),
        ("a = " + "[" * 50_000, "own.toml: is nested too deep"),
        (
            REPLACED.replace("batches", "nope"),
            'own.toml:4: event type "batch-request": there is no group "nope"; '
            "the groups are batches, model-versions, workspace, api-keys",
        ),
    ],
)
def test_what_is_no_catalog_is_told(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(write(tmp_path / "own.toml", text))[0] == problem


def test_a_folder_without_a_file_and_a_file_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    assert problems(tmp_path) == [f"{tmp_path.name}: the folder has no .toml file"]
    os.mkfifo(tmp_path / "pipe.toml")
    assert problems(tmp_path) == ["pipe.toml: cannot be read: it is no file"]
    (tmp_path / "pipe.toml").rename(tmp_path / "pipe")
    (tmp_path / "link.toml").symlink_to(tmp_path / "nowhere")
    assert problems(tmp_path) == ["link.toml: cannot be read: No such file or directory"]
