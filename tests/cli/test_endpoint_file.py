"""The file of endpoints: what is wrong with it is said at its line and column, and nothing blows up."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from webhooks_app.cli import apply, endpoint_export, endpoint_file, yaml_nodes
from webhooks_app.cli.endpoint_file import EndpointFile
from webhooks_app.cli.yaml_nodes import Problems
from webhooks_app.core.text_display import MASK

ENV = {"TOKEN": "s3cret", "EMPTY": ""}
HEAD = "version: 1\nendpoints:\n  A:\n    url: https://a.example/\n"


def read(text: str | bytes) -> tuple[EndpointFile | None, list[str]]:
    problems = Problems("f.yaml")
    raw = text.encode() if isinstance(text, str) else text
    found = endpoint_file.read(raw, "f.yaml", ENV, problems)
    return found, [str(each) for each in problems.found]


def settings(more: str) -> dict[str, Any]:
    found, problems = read(HEAD + more)
    assert found, problems
    return found.endpoints["A"].settings


def test_what_a_file_says_is_what_the_api_takes() -> None:
    found, problems = read("""\
version: 1
managed_by: billing/endpoints.yaml
endpoints:
  Billing:
    url: https://a.example/?key=${TOKEN}&cost=$$5&n=$6
    event_types: [batch-lifecycle, batch-request]
    timeout_seconds: 9
    rate_per_second: 20
    headers: {Authorization: "Bearer ${TOKEN}", X-Version: 1.10, X-On: yes, X-Kept: , X-Masked: ••••••••}
    disabled: no
  "7: ü":
    url: https://b.example/
    all_events: true
""")
    assert found and not problems
    assert found.managed_by == "billing/endpoints.yaml"
    assert found.endpoints["Billing"].settings == {
        "url": "https://a.example/?key=s3cret&cost=$5&n=$6",
        "all_events": False,
        "event_types": ["batch-lifecycle", "batch-request"],
        "timeout_seconds": 9,
        "rate_per_second": 20,
        "headers": [
            {"name": "Authorization", "value": "Bearer s3cret"},
            {"name": "X-Version", "value": "1.10"},  # as it is written, not as a number
            {"name": "X-On", "value": "yes"},
            {"name": "X-Kept", "value": None},
            {"name": "X-Masked", "value": None},
        ],
        "disabled": False,
    }
    assert found.endpoints["7: ü"].settings["all_events"] is True
    assert "disabled" not in found.endpoints["7: ü"].settings


def test_without_a_name_it_manages_under_its_files() -> None:
    found, _ = read("version: 1\nendpoints: {}\n")
    assert found == EndpointFile("f.yaml", {})


def test_an_alias_stands_for_what_it_names() -> None:
    types = settings("    event_types: &t [x, y]\n  B:\n    url: https://b.example\n    event_types: *t\n")
    assert types["event_types"] == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "f.yaml: is empty"),
        ("[]", "f.yaml:1:1: must be a mapping"),
        ("endpoints: {}", "f.yaml:1:1: version must be 1"),
        ("version: 2\nendpoints: {}", "f.yaml:1:10: version must be 1"),
        ("version: 1", 'f.yaml:1:1: "endpoints" is missing'),
        ("version: 1\nendpoint: {}\nendpoints: {}", 'f.yaml:2:1: there is no key "endpoint"; did you mean'),
        ("version: 1\nendpoints: [A]", "f.yaml:2:12: endpoints: must be a mapping"),
        ("version: 1\nendpoints:\n  A: 5", 'f.yaml:3:6: endpoint "A": must be a mapping'),
        ("version: 1\nendpoints:\n  A: {}", 'f.yaml:3:6: endpoint "A": url is missing'),
        (f"{HEAD}    tiemout_seconds: 5", 'f.yaml:5:5: endpoint "A": there is no key "tiemout_seconds"; did'),
        (f"{HEAD}    url: x", 'f.yaml:5:5: endpoint "A": "url" is there twice, first in line 4'),
        (f"{HEAD}  A:\n    url: x", 'f.yaml:5:3: endpoints: "A" is there twice, first in line 3'),
        (f"{HEAD}    timeout_seconds: soon", 'f.yaml:5:22: endpoint "A": timeout_seconds must be a whole'),
        (f"{HEAD}    timeout_seconds: 1:30", "must be a whole number"),
        (f"{HEAD}    all_events: 2", 'f.yaml:5:17: endpoint "A": all_events must be true or false'),
        (f"{HEAD}    event_types: x", 'f.yaml:5:18: endpoint "A": event_types must be a list'),
        (f"{HEAD}    event_types: [[x]]", "event_types must be a list of texts"),
        (f"{HEAD}    headers: [x]", 'f.yaml:5:14: endpoint "A", headers: must be a mapping'),
        (
            f"{HEAD}    headers:\n      X: ${{NONE}}",
            'f.yaml:6:10: endpoint "A", headers: X: the environment has',
        ),
        (f"{HEAD}    headers: {{X: '${{EMPTY}}'}}", "the environment has no EMPTY"),
        (f"{HEAD}    headers: {{X: '${{a b}}'}}", "needs the name of a variable"),
        (f"{HEAD}    headers: {{X: '${{TOKEN'}}", "needs the name of a variable"),
        (f"{HEAD}    headers: {{X: 1, X: 2}}", '"X" is there twice'),
        (f"{HEAD}    <<: {{disabled: true}}", '"<<" merges nothing here'),
        ("version: 1\nendpoints:\n  ' A': {url: x}", "begins or ends with a space"),
        ("version: 1\nendpoints:\n  ..: {url: x}", "a name cannot be of dots alone"),
        ("version: 1\nmanaged_by: ' '\nendpoints: {}", "f.yaml:2:13: managed_by must be a name"),
        ("version: 1\n\tendpoints: {}", "f.yaml:2:1: is not valid YAML: "),
        ("a: b: c", "f.yaml:1:5: is not valid YAML: "),
        ("version: 1\n---\nversion: 1", "f.yaml:2:1: is not valid YAML: "),
        ("a: *nothing", "f.yaml:1:4: is not valid YAML: "),
        ("? [a]\n: b", "a key must be a text"),
        (b"a: \xff", "f.yaml: is not in UTF-8"),
        (b"a: \x00", "f.yaml: is not valid YAML"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(text: str | bytes, problem: str) -> None:
    found, problems = read(text)
    assert found is None
    assert any(problem in each for each in problems), problems


def test_all_that_is_wrong_is_said_at_once() -> None:
    _, problems = read(f"{HEAD}    all_events: 2\n    nonsense: 1\n    timeout_seconds: x")
    assert len(problems) == 3


def bomb() -> str:
    """A billion, if somebody counted."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join(lines) + f"\n{HEAD}    event_types: *a9\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (bomb(), "event_types must be a list of texts"),
        ("[" * 100_000, "nesting depth"),
        ("{a: " * 100_000, "is nested too deeply"),
        ("x: " + "[a, " * 10 + "a," * 200_000, "is nested too deeply, or too large"),
        ("&a [*a]", "must be a mapping"),
        (f"{HEAD}    headers: &h {{X: *h}}", "X must be a text"),
        ("#" * yaml_nodes.LARGEST_BYTES + "#", "is larger than 2 MiB"),
    ],
    ids=["bomb", "lists", "mappings", "many", "circle", "circle in a header", "large"],
)
def test_a_hostile_file_costs_nothing(text: str, problem: str) -> None:
    found, problems = read(text)
    assert found is None
    assert any(problem in each for each in problems), problems[:3]


def test_a_masked_url_stands_for_the_stored_one_alone() -> None:
    stored = "https://a.example/hook?key=s3cret"
    for url, is_its in (
        (f"https://a.example/hook?key={MASK}", True),
        (f"https://b.example/?key={MASK}", False),
    ):
        problems = Problems("f.yaml")
        found, _ = read(f"version: 1\nendpoints: {{A: {{url: '{url}'}}}}")
        assert found
        endpoint_file.fill_in_url(found.endpoints["A"], stored, problems)
        assert bool(problems.found) != is_its
        assert (found.endpoints["A"].settings["url"] == stored) == is_its


@pytest.mark.parametrize(
    "text", ["yes", "Null", "a b", "7", "-x", "é", "a: b", "#x", "*a", '"', "''", "{}", "a-b_1"]
)
def test_an_exported_text_is_read_as_itself(text: str) -> None:
    found, problems = read(
        f"version: 1\nendpoints:\n  {endpoint_export._quoted(text)}:\n    url: https://a.example\n"
    )
    assert found, problems
    assert list(found.endpoints) == [text]


def test_the_schema_for_editors_knows_the_same_keys() -> None:
    schema = json.loads(apply._SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == set(endpoint_file.TOP_KEYS)
    assert set(schema["$defs"]["endpoint"]["properties"]) == set(endpoint_file.ENDPOINT_KEYS)
