import json
import shutil
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from webhooks_app.events.catalog import CATALOG_PATH, CatalogError, load
from webhooks_app.events.schema_violations import Violation

# What the platform has published. Removing or rewording one of these breaks a promise to consumers.
PUBLISHED = {
    "Batches": [
        ("batch-input-upload-request", "A batch input file upload was requested"),
        ("batch-input-deletion", "A batch input was deleted"),
        ("batch-request", "A batch inference run was requested"),
        ("batch-interrupt-request", "A batch inference interruption was requested"),
        (
            "batch-lifecycle",
            "A lifecycle transition occurred for a batch inference (queued, running, succeeded, failed)",
        ),
        ("batch-result-download", "A batch result was downloaded"),
        ("batch-result-deletion", "A batch result was deleted"),
    ],
    "Model versions": [
        ("model-version-activation", "A model version was activated"),
        ("model-version-deactivation", "A model version was deactivated"),
        ("model-version-promotion", "A model version was promoted (e.g. assigned the production alias)"),
        ("model-version-demotion", "A model version was demoted"),
    ],
    "Workspace": [
        ("workspace-creation", "A workspace was created"),
        ("workspace-update", "A workspace\u2019s settings were updated"),
        ("workspace-archival", "A workspace was archived"),
        ("workspace-unarchival", "A workspace was unarchived"),
    ],
    "API keys": [
        ("api-key-creation", "An API key was created"),
        ("api-key-deletion", "An API key was deleted"),
        ("api-key-recycling", "An API key was rotated"),
        ("api-key-renaming", "An API key was renamed"),
    ],
}
CATALOG = load()
NAMES = [name for rows in PUBLISHED.values() for name, _ in rows]

NEW_ENTRY = """
[[event_types]]
name = "batch-archival"
group = "batches"
description = "A batch was archived"
schema = '{"type": "object", "required": ["batch_id"], "properties": {"batch_id": {"type": "string"}}}'
example = '{"batch_id": "batch_1"}'
"""

HEAD = 'built_in = false\n[[groups]]\nkey = "batches"\ntitle = "Batches"\n'

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a catalog of one group and the given entries."""

    def write_entries(entries: str) -> Path:
        path = tmp_path / "catalog.toml"
        path.write_text(HEAD + entries, encoding="utf-8")
        return path

    return write_entries


class AnySchema(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def schema_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), AnySchema) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}/id.json"
        server.shutdown()


def entry_with_schema(schema: dict[str, Any], example: dict[str, Any]) -> str:
    return (
        '[[event_types]]\nname = "sample"\ngroup = "batches"\ndescription = "A sample"\n'
        f"schema = '''{json.dumps(schema)}'''\nexample = '''{json.dumps(example)}'''\n"
    )


def test_the_published_event_types_keep_their_groups_order_and_descriptions() -> None:
    groups = {
        group.title: [(each.name, each.description) for each in group.event_types] for group in CATALOG.groups
    }
    assert groups == PUBLISHED
    assert list(groups) == list(PUBLISHED)


def test_there_are_nineteen_event_types_with_a_name_each() -> None:
    assert len(CATALOG.event_types) == 19
    assert [each.name for each in CATALOG.event_types] == NAMES
    assert CATALOG.names == frozenset(NAMES)


def test_an_event_type_knows_the_key_of_its_group() -> None:
    assert all(each.group == group.key for group in CATALOG.groups for each in group.event_types)
    assert [group.key for group in CATALOG.groups] == ["batches", "model-versions", "workspace", "api-keys"]


def test_an_unknown_name_gets_nothing() -> None:
    assert CATALOG.get("batch-explosion") is None


@pytest.mark.parametrize("name", NAMES)
def test_every_example_satisfies_its_schema(name: str) -> None:
    event_type = CATALOG.get(name)
    assert event_type is not None
    Draft202012Validator.check_schema(event_type.schema)
    assert list(Draft202012Validator(event_type.schema).iter_errors(event_type.example)) == []
    assert CATALOG.violations(name, event_type.example) == []


@pytest.mark.parametrize("name", NAMES)
def test_an_example_shows_every_field_that_its_schema_describes(name: str) -> None:
    event_type = CATALOG.get(name)
    assert event_type is not None
    assert list(event_type.example) == list(event_type.schema["properties"])


@pytest.mark.parametrize("name", NAMES)
def test_the_published_schema_names_its_dialect_first(name: str) -> None:
    event_type = CATALOG.get(name)
    assert event_type is not None
    first = next(iter(event_type.schema.items()))
    assert first == ("$schema", "https://json-schema.org/draft/2020-12/schema")


def test_one_more_entry_is_one_more_event_type_and_leaves_the_others_alone(tmp_path: Path) -> None:
    path = Path(shutil.copy(CATALOG_PATH, tmp_path))
    with path.open("a", encoding="utf-8") as file:
        file.write(NEW_ENTRY)
    extended = load(path)
    assert extended.names - CATALOG.names == {"batch-archival"}
    assert [each for each in extended.event_types if each.name != "batch-archival"] == list(
        CATALOG.event_types
    )
    assert extended.groups[0].event_types[-1].name == "batch-archival"
    assert extended.violations("batch-archival", {}) == [Violation("data.batch_id", "is required")]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (NEW_ENTRY * 2, '14: event type "batch-archival": the name is used twice, first in catalog.toml:6'),
        (
            NEW_ENTRY.replace("batch-archival", "Batch_Archival"),
            '7: event type "Batch_Archival": the name must match ^[a-z][a-z0-9._-]{0,63}$',
        ),
        (
            NEW_ENTRY.replace("batch-archival", "b" * 65),
            f'7: event type "{"b" * 65}": the name must match ^[a-z][a-z0-9._-]{{0,63}}$',
        ),
        (
            NEW_ENTRY.replace('name = "batch-archival"', ""),
            "6: event type number 1: name is missing or empty",
        ),
        (
            NEW_ENTRY.replace('description = "A batch was archived"', ""),
            '6: event type "batch-archival": description is missing or empty',
        ),
        (
            NEW_ENTRY.replace("A batch was archived", " "),
            '9: event type "batch-archival": description is missing or empty',
        ),
        (
            NEW_ENTRY.replace('group = "batches"', 'group = "bananas"'),
            '8: event type "batch-archival": there is no group "bananas"; the groups are batches',
        ),
        (
            NEW_ENTRY.replace('{"batch_id": "batch_1"}', '{"batch_id": 1}'),
            '11: event type "batch-archival": the example violates the schema: '
            "data.batch_id must be a string",
        ),
        (
            NEW_ENTRY.replace('{"batch_id": "batch_1"}', "[1]"),
            '11: event type "batch-archival": example must be a JSON object',
        ),
        (
            NEW_ENTRY.replace('{"batch_id": "batch_1"}', "{batch_id}"),
            '11: event type "batch-archival": example is not valid JSON: '
            "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        (
            NEW_ENTRY.replace('"type": "string"', '"type": "text"'),
            '10: event type "batch-archival": the schema is invalid at $.properties.batch_id.type: '
            "'text' is not valid under any of the given schemas",
        ),
        (
            NEW_ENTRY.replace('"type": "string"', '"pattern": "["'),
            '10: event type "batch-archival": the schema is invalid at $.properties.batch_id.pattern: '
            "'[' is not a 'regex'",
        ),
        (
            NEW_ENTRY.replace('"type": "object"', '"type": "array"'),
            '10: event type "batch-archival": the schema must say "type": "object"',
        ),
        (
            NEW_ENTRY.replace('"type": "object"', '"$schema": "http://json-schema.org/draft-07/schema#"'),
            '10: event type "batch-archival": the schema must be of the dialect '
            "https://json-schema.org/draft/2020-12/schema",
        ),
        (
            '[[groups]]\nkey = "batches"\ntitle = "More batches"\n' + NEW_ENTRY,
            '6: group "batches": the name is used twice, first in catalog.toml:2',
        ),
        ('[[groups]]\nkey = "other"\n' + NEW_ENTRY, '5: group "other": title is missing or empty'),
        (
            NEW_ENTRY.replace('group = "batches"', 'group = "batches"\nindexed = ["batch"]'),
            '9: event type "batch-archival": indexed names "batch", which the schema does not describe',
        ),
        (
            NEW_ENTRY.replace('group = "batches"', 'group = "batches"\nindexed = "batch_id"'),
            '9: event type "batch-archival": indexed must be a list of fields of data',
        ),
        (
            NEW_ENTRY.replace('group = "batches"', 'group = "batches"\nindexed = ["a", "b", "c", "d"]'),
            '9: event type "batch-archival": indexed may name 3 fields at most',
        ),
        ("", " the catalog has no event types"),
        (
            NEW_ENTRY.replace("indexed", "").replace("group =", "grouping ="),
            '6: event type "batch-archival": group is missing or empty',
        ),
        ("colour = 1\n" + NEW_ENTRY, '5: group "batches": there is no key "colour"; an entry has key, title'),
        (
            '[[colours]]\nname = "red"\n' + NEW_ENTRY,
            '5: there is no "colours"; a catalog has built_in, [[groups]] and [[event_types]]',
        ),
    ],
)
def test_a_broken_entry_gives_one_clear_error(write: Write, entries: str, message: str) -> None:
    with pytest.raises(CatalogError) as raised:
        load(write(entries))
    assert str(raised.value) == f"catalog.toml:{message}"


def test_the_built_in_catalog_is_read_once_in_a_process() -> None:
    assert load() is CATALOG


def test_a_file_that_is_not_toml_says_on_which_line(write: Write) -> None:
    with pytest.raises(CatalogError, match=r"^catalog\.toml:6: is not valid TOML: "):
        load(write("\nevent types\n"))


def test_a_schema_elsewhere_is_never_fetched(write: Write, schema_server: str) -> None:
    schema = {"type": "object", "properties": {"id": {"$ref": schema_server}}}
    with pytest.raises(CatalogError, match=f"the schema refers to {schema_server}, which is not in it"):
        load(write(entry_with_schema(schema, {"id": "1"})))


def test_a_rule_without_a_wording_of_its_own_is_named(write: Write) -> None:
    schema = {"type": "object", "properties": {"size": {"multipleOf": 5}}}
    loaded = load(write(entry_with_schema(schema, {"size": 10})))
    violation = Violation("data.size", "does not satisfy the schema's 'multipleOf' rule")
    assert loaded.violations("sample", {"size": 7}) == [violation]


def test_an_event_type_can_be_a_member_of_a_set() -> None:
    assert len(set(CATALOG.event_types)) == 19
