"""`avra apply` and `avra export` against a running platform: whole stories, as somebody would live them."""

import json
import re
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.cli.operator import FILE, Operator
from tests.conftest import Workspace
from tests.reading import json_of
from tests.test_packages import ROOT
from tests.web.api.conftest import new_api
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.cli.tokens import add_token
from webhooks_app.endpoints.endpoint_values import DEFAULT_TIMEOUT_MS


def test_a_file_is_applied_drifts_and_is_applied_again(operator: Operator, workspace: Workspace) -> None:
    said = operator.apply(FILE, "--dry-run", exit_code=2)
    assert "+ Billing: new" in said and "+ Audit: new" in said and "Plan: 2 to add." in said
    assert operator.endpoints() == {}

    assert "Done: 2." in operator.apply(FILE)
    assert {each["managed_by"] for each in operator.endpoints().values()} == {"endpoints.yaml"}
    assert "No changes: 2 endpoints" in operator.apply(FILE, "--dry-run")
    assert "No changes" in operator.apply(FILE)

    # Somebody changes one by hand, and it is seen and undone.
    audit = operator.endpoints()["Audit"]
    operator.api.call(
        "PATCH",
        f"/endpoints/{audit['id']}",
        {"timeout_seconds": 3, "url": "https://audit.example.com/in?key=x"},
    )
    said = operator.apply(FILE, "--dry-run", exit_code=2)
    assert "~ timeout_seconds: 3 → 10" in said
    assert "(what is masked differs)" in said
    operator.apply(FILE)
    assert operator.endpoints()["Audit"]["timeout_seconds"] == 10

    # Another value of a header is seen, although nobody reads it.
    other = FILE.replace("Bearer ${", "Basic ${")
    assert "~ headers: Authorization: another value" in operator.apply(other, "--dry-run", exit_code=2)

    # It leaves the file: kept, then deleted; what no file manages is not touched.
    workspace.endpoint("https://x.example.com", name="By hand")
    less = FILE[: FILE.index("  Audit:")]
    assert "Audit: left the file; --prune deletes it" in operator.apply(less, "--dry-run")
    assert "- Audit: left the file" in operator.apply(less, "--dry-run", "--prune", exit_code=2)
    assert "nobody to ask" in operator.apply(less, "--prune", exit_code=64)
    assert set(operator.endpoints()) == {"Billing", "Audit", "By hand"}
    operator.apply(less, "--prune", "--yes")
    assert set(operator.endpoints()) == {"Billing", "By hand"}
    assert "No changes" in operator.apply(less, "--prune", "--dry-run")


def test_what_is_exported_is_what_there_is(operator: Operator, workspace: Workspace) -> None:
    values: list[dict[str, Any]] = [
        {"name": "yes"},
        {"name": 'ü "quoted": #1 / \\n 🎉', "timeout_ms": 30_000, "rate_per_second": 7},
        {"name": "7", "all_events": False, "event_types": ["batch-request", "batch-lifecycle"]},
        {"name": "Headers", "headers": [("X-B", "${no}"), ("X-A", "1")], "managed_by": "endpoints.yaml"},
        {"name": "Slack", "url": "https://hooks.example.com/T0AB12CD3/xoxb9fK3mQ7zR1tY5wE8uI2?a=$1&b=$$x"},
        {"name": "Off"},
    ]
    for each in values:
        workspace.endpoint(**{"url": "https://a.example.com/", "managed_by": "endpoints.yaml"} | each)
    operator.api.call("POST", f"/endpoints/{operator.endpoints()['Off']['id']}/disable")

    for options in ([], ["--unmasked-urls"], ["--managed-by", "endpoints.yaml"]):
        exported = operator.run("export", *options)
        assert exported.exit_code == 0, exported.output
        assert "xoxb9fK3" in exported.output if "--unmasked-urls" in options else "••••" in exported.output
        assert "No changes: 6 endpoints" in operator.apply(exported.stdout, "--dry-run")

    target = str(operator.folder / "out.yaml")
    assert operator.run("export", "-o", target).exit_code == 0
    assert operator.run("export", "-o", target).exit_code == 1  # it does not write over a file


def test_nothing_is_exported_where_nothing_is(operator: Operator) -> None:
    exported = operator.run("export").stdout
    assert "No changes: 0 endpoints" in operator.apply(exported, "--dry-run")


def test_one_endpoint_is_told_in_the_singular(operator: Operator, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/", name="A", managed_by="endpoints.yaml")
    exported = operator.run("export", "-o", str(operator.folder / "out.yaml"))
    assert re.match(r"1 endpoint is in \S+\.\n", exported.stderr)
    text = (operator.folder / "out.yaml").read_text()
    assert "No changes: 1 endpoint is as the file says." in operator.apply(text, "--dry-run")


def test_what_the_platform_refuses_is_said_in_the_file_and_nothing_is_done(operator: Operator) -> None:
    text = FILE.replace("[batch-lifecycle]", "[batch-lifecycle, nonsense]").replace("s: 10", "s: 31")
    said = operator.apply(text, exit_code=65)
    assert 'endpoints.yaml:11:22: endpoint "Audit": timeout_seconds: It must be 30 or less.' in said
    said = operator.apply(text.replace("s: 31", "s: 10"), exit_code=65)
    assert 'endpoints.yaml:5:36: endpoint "Billing": event_types[1]: “nonsense” is not in the catalog' in said
    said = operator.apply(FILE.replace("Bearer ${BILLING_TOKEN}", ""), exit_code=65)
    assert 'endpoints.yaml:7:21: endpoint "Billing": headers[0].value: Give the value' in said
    assert "Nothing was changed." in said
    assert operator.endpoints() == {}


def test_what_somebody_else_manages_is_taken_only_when_told(operator: Operator, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/", name="Billing", managed_by="other.yaml")
    workspace.endpoint("https://a.example.com/", name="Audit")
    for options in ([], ["--dry-run"]):  # what CI shows of a change ends as applying it would
        said = operator.apply(FILE, *options, exit_code=64)
        assert "~ Billing: taken from other.yaml" in said
        assert "~ Audit: adopted, as nothing managed it" in said
        assert "Something else manages Billing (other.yaml): say --take-over" in said
    assert operator.endpoints()["Audit"]["managed_by"] is None
    planned = operator.run("apply", operator.write(FILE), "--dry-run", "--json")
    assert (planned.exit_code, json.loads(planned.stdout)["pending"]) == (64, 2)
    assert "say --take-over" not in operator.apply(FILE, "--dry-run", "--take-over", exit_code=2)
    operator.apply(FILE, "--take-over")

    # Let go of, it stays, and is adopted again only as a change that is shown.
    operator.apply("version: 1\nendpoints: {}\n", "--release")
    assert {each["managed_by"] for each in operator.endpoints().values()} == {None}
    assert "adopted" in operator.apply(FILE, "--dry-run", exit_code=2)


def test_an_endpoint_is_disabled_and_enabled_by_the_file(operator: Operator, workspace: Workspace) -> None:
    operator.apply(FILE + "    disabled: true\n")
    assert operator.endpoints()["Audit"]["state"] == "disabled"
    assert "No changes" in operator.apply(FILE, "--dry-run")  # left out, it stays
    workspace.send(2)
    enabled = FILE + "    disabled: false\n"
    for options in ([], ["--dry-run"]):
        assert "Deliveries were held for Audit (2)" in operator.apply(enabled, *options, exit_code=64)
    operator.apply(enabled, "--held", "discard")
    assert operator.endpoints()["Audit"]["state"] == "enabled"


def test_new_secrets_go_into_a_file_that_nobody_else_reads(operator: Operator) -> None:
    path = operator.folder / "secrets"
    path.write_text("")
    path.chmod(0o644)
    assert "run chmod 600" in operator.apply(FILE, "--secrets-file", str(path), exit_code=73)
    assert operator.endpoints() == {}
    path.unlink()

    said = operator.apply(FILE, "--secrets-file", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    written = [json.loads(line) for line in path.read_text().splitlines()]
    for each in written:
        secrets = json_of(operator.api.get(f"/endpoints/{each['id']}/secrets"))["data"]
        assert each["secret"] == secrets[0]["secret"] and each["secret"] not in said
    assert [each["name"] for each in written] == ["Billing", "Audit"]


def test_programs_get_it_as_json(operator: Operator) -> None:
    plan = json.loads(operator.apply(FILE, "--dry-run", "--json", exit_code=2))
    assert plan["pending"] == 2
    assert plan["steps"][1]["after"]["url"] == "https://audit.example.com/in?key=••••••••"
    done = json.loads(operator.apply(FILE, "--json"))
    assert [each["outcome"] for each in done["results"]] == ["done", "done"]
    assert json.loads(operator.apply(FILE, "--json", "--dry-run"))["pending"] == 0
    failed = operator.run("apply", operator.write(FILE), "--json", AVRA_TOKEN="tok_none")
    assert json.loads(failed.stderr)["error"]["status"] == 401


def test_programs_get_what_is_wrong_as_json(operator: Operator) -> None:
    wrong = operator.run("apply", operator.write(FILE + "x: 1\ny: 2\n"), "--json")
    error = json.loads(wrong.stderr)["error"]
    assert (wrong.exit_code, error["code"], error["status"]) == (65, "invalid_file", 0)
    assert len(error["problems"]) == 2 and error["message"] == error["problems"][0]
    both = operator.run("apply", operator.write(FILE), "--json", "--prune", "--release")
    assert (both.exit_code, json.loads(both.stderr)["error"]["code"]) == (64, "usage")
    assert operator.endpoints() == {}


@pytest.mark.parametrize("scope", [TokenScope.ENDPOINTS_READ, TokenScope.EVENTS_SEND])
def test_a_token_without_the_scopes_is_told_all_of_them(
    operator: Operator, workspace: Workspace, scope: TokenScope
) -> None:
    token = new_api(workspace, scope).token
    result = operator.run("apply", operator.write(FILE), AVRA_TOKEN=token)
    assert result.exit_code == 77
    assert "needs the scopes endpoints:read and endpoints:write. An admin adds a token" in result.stderr
    command = result.stderr.strip().partition("by: avra ")[2].split()
    assert command[:2] == ["tokens", "add"]
    scopes = add_token.make_context("add", command[2:]).params["scopes"]
    assert scopes == ("endpoints:read", "endpoints:write")


def test_another_workspace_is_another_world(operator: Operator, make_workspace: Any) -> None:
    operator.apply(FILE)
    token = new_api(make_workspace("Other")).token
    result = operator.run(
        "apply", operator.write("version: 1\nendpoints: {}"), "--prune", "--yes", AVRA_TOKEN=token
    )
    assert result.exit_code == 0 and "No changes" in result.stdout
    assert (
        "Plan: 2 to add." in operator.run("apply", operator.write(FILE), "--dry-run", AVRA_TOKEN=token).stdout
    )
    assert set(operator.endpoints()) == {"Billing", "Audit"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_five_hundred_endpoints_take_few_requests(operator: Operator, workspace: Workspace) -> None:
    text = "version: 1\nendpoints:\n" + "".join(
        f"  E{n}: {{url: https://a.example.com/{n}, all_events: true, headers: {{X: '{n}'}}}}\n"
        for n in range(500)
    )
    usual: dict[str, Any] = {"managed_by": "endpoints.yaml", "timeout_ms": DEFAULT_TIMEOUT_MS}
    for n in range(500):
        workspace.endpoint(f"https://a.example.com/{n}", name=f"E{n}", headers=[("X", str(n))], **usual)
    assert "No changes: 500 endpoints" in operator.apply(text, "--dry-run")
    assert len(operator.asked) == 5 + 5  # the list of what there is, and the plan


def test_the_files_of_the_documents_can_be_applied(operator: Operator) -> None:
    text = (ROOT / "docs/endpoints-file.md").read_text()
    first, second, renaming = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    operator.apply(first)
    assert operator.endpoints()["Billing"]["managed_by"] == "billing/endpoints.yaml"
    operator.apply(second)
    told = text.partition("$ avra apply endpoints.yaml --dry-run\n")[2].partition("```")[0]
    assert operator.apply(renaming, "--dry-run", exit_code=2).startswith(told.splitlines()[0])
    pruned = operator.apply(
        "version: 1\nmanaged_by: billing/endpoints.yaml\nendpoints: {}", "--prune", "--dry-run", exit_code=2
    )
    assert "- Billing" in pruned
    for option in re.findall(r"`(--[a-z-]+)", text):
        assert option in operator.run("apply", "--help").output
    schema = json.loads(operator.run("apply", "--schema").stdout)
    for example in (first, second, renaming):
        Draft202012Validator(schema).validate(yaml.safe_load(example))


ODD_NAMES = [
    "a//b",
    "/a",
    "a/",
    "a/../b",
    "./x",
    "%2F",
    "a?b#c",
    "é 🎉",
    "a\\b",
    "a;b&c=d",
    "+",
    "${X}",
    "x" * 100,
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_name_may_be_whatever_the_console_takes(operator: Operator) -> None:
    text = "version: 1\nendpoints:\n"
    for name in ODD_NAMES:
        quoted = json.dumps(name, ensure_ascii=False)
        text += f"  {quoted}: {{url: https://a.example.com/, all_events: true, timeout_seconds: 8}}\n"
    operator.apply(text)
    operator.apply(text.replace("seconds: 8", "seconds: 9"))
    assert {name: each["timeout_seconds"] for name, each in operator.endpoints().items()} == dict.fromkeys(
        ODD_NAMES, 9
    )
    assert "No changes: 13 " in operator.apply(operator.run("export").stdout, "--dry-run")
