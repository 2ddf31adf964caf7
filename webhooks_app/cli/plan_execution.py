"""Doing what a plan says, one endpoint after another; what was done is known whatever happens in between."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from webhooks_app.cli.api_answers import ApiFailure
from webhooks_app.cli.api_client import ApiClient, segment
from webhooks_app.cli.requested_plan import Plan, Step, StepAction, judge_one
from webhooks_app.cli.secrets_file import SecretsFile

# These are about one endpoint only; whatever else goes wrong would go wrong for the others, too.
_OF_ONE = frozenset({404, 409, 412, 422})

_MEANWHILE = "It was changed meanwhile. Run it again to see the difference."


class StepState(StrEnum):
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"  # it was interrupted on its way
    NOT_TRIED = "not tried"


@dataclass
class StepResult:
    """What became of a step."""

    step: Step
    outcome: StepState = StepState.NOT_TRIED
    failure: ApiFailure | None = None


def execute(
    client: ApiClient, plan: Plan, results: list[StepResult], *, held: str | None, secrets: SecretsFile | None
) -> Iterator[StepResult]:
    """Do the steps and yield the result of each; `results` has all of them from the start.

    Goes on after what failed for one endpoint, and stops at what would fail for each.
    """
    results.extend(StepResult(step) for step in plan.pending)
    for result in results:
        result.outcome = StepState.UNKNOWN
        try:
            _do(client, result.step, held, secrets)
            result.outcome = StepState.DONE
        except ApiFailure as failure:
            # Without an answer it may have been done.
            result.outcome = StepState.FAILED if failure.status else StepState.UNKNOWN
            result.failure = failure
        yield result
        if result.failure and result.failure.status not in _OF_ONE:
            return


def _do(client: ApiClient, step: Step, held: str | None, secrets: SecretsFile | None) -> None:
    match step.action:
        case StepAction.DELETE:
            _delete(client, step)
        case StepAction.RELEASE:
            assert step.before is not None
            client.request(
                "PATCH", f"/endpoints/{step.before['id']}", body={"managed_by": None}, is_repeatable=True
            )
        case StepAction.RENAME:
            etag = _rename(client, step)
            if set(step.changed) - {"name"}:
                _put(client, replace(step, etag=etag), held, secrets)
        case _:
            _put(client, step, held, secrets)


def _delete(client: ApiClient, step: Step) -> None:
    assert step.before is not None
    path = f"/endpoints/{step.before['id']}"
    try:
        seen = client.request("GET", path)
        if seen.body["updated_at"] != step.before["updated_at"]:
            raise ApiFailure("It was changed meanwhile.", status=412, code="changed_meanwhile")
        client.request("DELETE", path, headers={"If-Match": seen.etag or ""})
    except ApiFailure as failure:
        if failure.status != 404:  # somebody else deleted it, or the try before did, whose answer was lost
            raise


def _rename(client: ApiClient, step: Step) -> str | None:
    """Give the endpoint its name, unless another one has it, and return its ETag from then on."""
    assert step.before is not None
    endpoint_id = step.before["id"]
    holder = _named(client, step.name)
    if holder is not None and holder["id"] != endpoint_id:
        raise ApiFailure(f"“{step.name}” is the name of another endpoint.", status=409, code="name_taken")
    if holder is None:
        try:
            return client.request(
                "PATCH",
                f"/endpoints/{endpoint_id}",
                body={"name": step.name},
                headers={"If-Match": step.etag or ""},
                is_repeatable=True,
            ).etag
        except ApiFailure as failure:
            if failure.status != 412:
                raise
    # An earlier try, whose answer was lost, may have done it.
    now = judge_one(client, step)
    if now is None or set(now.changed) != set(step.changed) - {"name"}:
        raise ApiFailure(_MEANWHILE, status=412, code="changed_meanwhile")
    return now.etag


def _named(client: ApiClient, name: str) -> dict[str, Any] | None:
    try:
        return dict(client.request("GET", f"/endpoints/by-name/{segment(name)}").body)
    except ApiFailure as failure:
        if failure.status != 404:
            raise
        return None


def _put(client: ApiClient, step: Step, held: str | None, secrets: SecretsFile | None) -> None:
    body = {key: value for key, value in step.settings.items() if key not in ("name", "id")}
    if held and step.held:
        body["held"] = held
    condition = {"If-None-Match": "*"} if step.action is StepAction.CREATE else {"If-Match": step.etag or ""}
    try:
        endpoint = client.request(
            "PUT", f"/endpoints/by-name/{segment(step.name)}", body=body, headers=condition
        ).body
    except ApiFailure as failure:
        if failure.status != 412:
            raise
        endpoint = _done_earlier(client, step, failure)
    if secrets and step.action is StepAction.CREATE:
        secret = endpoint.get("secret") or _read_secret(client, endpoint["id"])
        secrets.add(step.name, endpoint["id"], secret)


def _done_earlier(client: ApiClient, step: Step, failure: ApiFailure) -> dict[str, Any]:
    """Return the endpoint if it is as wanted: an earlier try of ours, whose answer was lost, did it."""
    now = judge_one(client, step)
    if now is not None and now.action is StepAction.NONE and now.before is not None:
        return dict(now.before)
    raise ApiFailure(_MEANWHILE, status=412, code=failure.code)


def _read_secret(client: ApiClient, endpoint_id: str) -> str:
    secrets = client.request("GET", f"/endpoints/{endpoint_id}/secrets").body["data"]
    return str(secrets[0]["secret"])
