"""Endpoints that a file has under other names than before, against a running platform."""

import json
from wsgiref.types import WSGIEnvironment

import pytest

from tests.cli.operator import Operator
from tests.conftest import Workspace
from tests.reading import json_of

URL = "https://a.example.com/"


def file(**former: object) -> str:
    """Return a file of these endpoints with the names that they had before."""
    endpoints = {
        name: {"url": URL, "all_events": True} | ({"renamed_from": names} if names else {})
        for name, names in former.items()
    }
    return json.dumps({"version": 1, "endpoints": endpoints})  # which is YAML


def ids(operator: Operator) -> dict[str, str]:
    return {name: each["id"] for name, each in operator.endpoints().items()}


def secret_of(operator: Operator, endpoint_id: str) -> str:
    return str(json_of(operator.api.get(f"/endpoints/{endpoint_id}/secrets"))["data"][0]["secret"])


def test_a_renamed_endpoint_keeps_its_id_and_secret(operator: Operator) -> None:
    operator.apply(file(Old=None))
    old_id = ids(operator)["Old"]
    secret = secret_of(operator, old_id)
    text = file(New="Old").replace('"all_events": true', '"all_events": true, "timeout_seconds": 9')
    said = operator.apply(text, "--prune", "--dry-run", exit_code=2)
    assert "~ New: renamed from Old, keeps its id, signing secret and log\n    ~ timeout_seconds" in said
    assert "Plan: 1 to rename." in said
    assert ids(operator) == {"Old": old_id}
    assert "Done: rename New" in operator.apply(text, "--prune", "--yes")
    assert ids(operator) == {"New": old_id}
    assert operator.endpoints()["New"]["timeout_seconds"] == 9
    assert secret_of(operator, old_id) == secret
    assert "No changes" in operator.apply(text, "--prune", "--dry-run")  # it may stay in the file


def test_the_name_alone_is_changed_where_nothing_else_is(operator: Operator) -> None:
    operator.apply(file(Old=None))
    result = operator.run("apply", operator.write(file(New=["Never", "Old"])), "--json")
    [step] = json.loads(result.stdout)["steps"]
    assert (step["action"], step["renamed_from"], step["changed"]) == ("rename", "Old", ["name"])
    assert set(ids(operator)) == {"New"}


def test_who_managed_it_is_said_behind(operator: Operator, workspace: Workspace) -> None:
    workspace.endpoint(URL, name="Old", managed_by="other.yaml")
    said = operator.apply(file(New="Old"), "--dry-run", exit_code=64)
    assert "~ New: renamed from Old, keeps its id, signing secret and log; taken from other.yaml" in said
    assert "--take-over" in operator.apply(file(New="Old"), exit_code=64)


def test_what_was_never_there_is_new(operator: Operator) -> None:
    assert "+ New: new" in operator.apply(file(New="Old"))
    assert set(ids(operator)) == {"New"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_misspelt_name_of_before_costs_no_endpoint(operator: Operator) -> None:
    operator.apply(file(Old=None))
    before = ids(operator)
    said = operator.apply(file(New="old"), "--prune", "--yes", exit_code=64)
    assert "New is renamed from old, and no endpoint is named so" in said
    assert "that would be deleted (Old)" in said and "Nothing was changed." in said
    assert ids(operator) == before
    operator.apply(file(New="Old"), "--prune", "--yes")
    assert ids(operator) == {"New": before["Old"]}


def test_a_chain_of_names_moves_on(operator: Operator) -> None:
    operator.apply(file(A=None, B=None))
    before = ids(operator)
    text = file(B="A", C="B")
    assert "Plan: 2 to rename." in operator.apply(text)
    assert ids(operator) == {"B": before["A"], "C": before["B"]}
    assert "No changes" in operator.apply(text, "--prune", "--dry-run")


def test_the_name_of_before_may_be_another_endpoints_since(operator: Operator) -> None:
    operator.apply(file(A=None))
    said = operator.apply(file(B="A", A=None), exit_code=65)
    assert '"A" is an endpoint of the file, too; apply the new name first' in said
    operator.apply(file(B="A"))
    operator.apply(file(B="A", A=None))
    assert "No changes" in operator.apply(file(B="A", A=None), "--prune", "--dry-run")


def test_a_chain_whose_first_is_not_there_frees_no_name_for_a_new_one(operator: Operator) -> None:
    operator.apply(file(B=None))
    assert "apply the new name first" in operator.apply(file(B="A", C="B"), exit_code=65)
    assert set(ids(operator)) == {"B"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("there", "wanted", "told"),
    [
        (("A", "B"), {"B": "A"}, 'endpoint "B": renamed_from: "B" and "A" both exist'),
        (("A", "B"), {"B": "A", "A": "B"}, "the names go round in a circle"),
        (("A", "B"), {"C": ["A", "B"]}, '"A", "B" all exist; name the one that is meant'),
        (("A",), {"B": "A", "C": "A"}, '"B" was renamed from "A", too'),
        (("A",), {"A": "A"}, "it has that name"),
        (("A",), {"A": {"x": 1}}, "renamed_from must be a text"),
        (("A",), {"B": " A"}, "begins or ends with a space"),
        (("A",), {"B": ["A", None]}, "renamed_from is without a name"),
        (("A", "A"), {"B": "A"}, 'several endpoints are named "A"'),
    ],
)
def test_what_cannot_be_told_is_refused_at_its_place(
    operator: Operator, workspace: Workspace, there: tuple[str, ...], wanted: dict[str, object], told: str
) -> None:
    for name in there:
        workspace.endpoint(URL, name=name)
    said = operator.apply(file(**wanted), exit_code=65)
    assert told in said
    assert said.startswith("endpoints.yaml:1:") or said.count(":1:")
    assert "Nothing was changed." in said


def test_a_name_that_is_taken_meanwhile_is_left_alone(operator: Operator, workspace: Workspace) -> None:
    operator.apply(file(A=None, Z=None))
    text = file(B="A", Z=None).replace(f'"Z": {{"url": "{URL}', f'"Z": {{"url": "{URL}z')
    taken: list[str] = []
    # Between the plan and the first change: as the platform is asked who has the name.
    operator.before_get["B"] = lambda _: taken.append(workspace.endpoint(URL, name="B"))
    said = operator.apply(text, exit_code=1)
    assert "Failed: rename B: “B” is the name of another endpoint." in said
    assert "Done: change Z" in said
    assert (ids(operator)["B"], set(ids(operator))) == (taken[0], {"A", "B", "Z"})


def test_a_rename_whose_answer_was_lost_is_done(operator: Operator) -> None:
    operator.apply(file(A=None))
    endpoint_id = ids(operator)["A"]

    def rename(_: WSGIEnvironment) -> None:
        answer = operator.api.call("PATCH", f"/endpoints/{endpoint_id}", {"name": "B"})
        assert answer.status_code == 200

    operator.before_get["B"] = rename
    assert "Done: rename B" in operator.apply(file(B="A"))
    assert ids(operator) == {"B": endpoint_id}


def test_what_changed_meanwhile_is_not_renamed(operator: Operator) -> None:
    operator.apply(file(A=None))
    path = f"/endpoints/{ids(operator)['A']}"
    operator.before_get["B"] = lambda _: operator.api.call("PATCH", path, {"rate_per_second": 3})
    assert "It was changed meanwhile." in operator.apply(file(B="A"), exit_code=1)
    assert set(ids(operator)) == {"A"}
