"""What applying a file would do: as the platform judges it, which knows what is stored and allowed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from webhooks_app.cli import endpoint_file, endpoint_renames
from webhooks_app.cli.api_answers import ApiFailure
from webhooks_app.cli.api_client import ApiClient
from webhooks_app.cli.endpoint_file import Declared, EndpointFile
from webhooks_app.cli.endpoint_renames import Renames
from webhooks_app.cli.yaml_nodes import Problems

# As many as the API judges at once.
_AT_ONCE = 100
# A hundred endpoints may be larger than a request with them may be.
_LARGEST_BYTES = 3 * 1024 * 1024
_PLACE = re.compile(r"endpoints\[([0-9]+)\]\.?(.*)")


class StepAction(StrEnum):
    CREATE = "create"
    RENAME = "rename"
    CHANGE = "change"
    DELETE = "delete"
    RELEASE = "release"
    NONE = "none"


class Leftover(StrEnum):
    """What becomes of endpoints that the file manages but has no longer."""

    KEEP = "keep"
    DELETE = "delete"
    RELEASE = "release"


@dataclass(frozen=True)
class Step:
    """One endpoint: what is to be done, and the API's fields before and after; `settings` is what is sent.

    `renamed_from` is the name that it has so far, if it is to get another one.
    """

    name: str
    action: StepAction
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    changed: Sequence[str] = ()
    changed_headers: Sequence[str] = ()
    etag: str | None = None
    held: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    renamed_from: str | None = None

    @property
    def manager_before(self) -> str | None:
        return self.before["managed_by"] if self.before else None


@dataclass(frozen=True)
class Plan:
    """All steps, those of the file first; `left` are endpoints that the file manages but has no longer.

    `unmatched` are names of before, of endpoints that would be new, which no endpoint has.
    """

    managed_by: str
    steps: Sequence[Step]
    left: Sequence[str] = ()
    unmatched: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def pending(self) -> list[Step]:
        return [step for step in self.steps if step.action is not StepAction.NONE]

    def with_action(self, *actions: StepAction) -> list[Step]:
        return [step for step in self.steps if step.action in actions]


def make(client: ApiClient, file: EndpointFile, leftover: Leftover, problems: Problems) -> Plan:
    """Return the plan, with what the platform refuses in `problems`. Raises ApiFailure."""
    stored = list(client.each("/endpoints"))
    renames = endpoint_renames.resolve(file, stored, problems)
    by_name = {each["name"]: each for each in stored} | dict(renames.sources)
    for declared in file.endpoints.values():
        found = by_name.get(declared.name)
        endpoint_file.fill_in_url(declared, found["url"] if found else None, problems)
    steps = [] if problems.found else _judge(client, file, renames, problems)
    left = [
        each
        for each in stored
        if each["managed_by"] == file.managed_by
        and each["name"] not in file.endpoints
        and each["id"] not in renames.ids
    ]
    if leftover is Leftover.KEEP:
        return Plan(file.managed_by, steps, [each["name"] for each in left])
    action = StepAction.DELETE if leftover is Leftover.DELETE else StepAction.RELEASE
    steps += [Step(each["name"], action, before=each) for each in left]
    return Plan(file.managed_by, steps, unmatched=_unmatched(file, steps))


def _unmatched(file: EndpointFile, steps: Sequence[Step]) -> dict[str, Sequence[str]]:
    new = [file.endpoints[step.name] for step in steps if step.action is StepAction.CREATE]
    return {each.name: each.renamed_from for each in new if each.renamed_from}


def judge_one(client: ApiClient, step: Step) -> Step | None:
    """Return the step as it would be now, None where it is refused. Raises ApiFailure."""
    [answer] = _ask(client, [step.settings])
    return None if answer["error"] else _step(step.settings, answer, None)


def _judge(client: ApiClient, file: EndpointFile, renames: Renames, problems: Problems) -> list[Step]:
    """Return the steps, those first whose names others may wait for."""
    steps: list[Step] = []
    for group in _groups(list(file.endpoints.values())):
        sent = [_sent(each, file, renames) for each in group]
        try:
            answers = _ask(client, sent)
        except ApiFailure as failure:
            _blame(failure, group, problems)
            continue
        for declared, settings, answer in zip(group, sent, answers, strict=True):
            if answer["error"]:
                _report(declared, answer["error"]["field"], answer["error"]["message"], problems)
            else:
                steps.append(_step(settings, answer, renames.before(declared.name)))
    order = list(renames.sources)
    return sorted(steps, key=lambda step: order.index(step.name) if step.name in order else len(order))


def _sent(declared: Declared, file: EndpointFile, renames: Renames) -> dict[str, Any]:
    source = renames.sources.get(declared.name)
    known_by = {"id": source["id"]} if source else {}
    return {"name": declared.name, "managed_by": file.managed_by, **declared.settings, **known_by}


def _groups(declared: Sequence[Declared]) -> list[list[Declared]]:
    """Return the endpoints in groups of a size that one request may have."""
    groups: list[list[Declared]] = [[]]
    size = 0
    for each in declared:
        own = len(str(each.settings))
        if len(groups[-1]) == _AT_ONCE or size + own > _LARGEST_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(each)
        size += own
    return [group for group in groups if group]


def _blame(failure: ApiFailure, group: Sequence[Declared], problems: Problems) -> None:
    """Report a refusal at the endpoint that it names. Raises ApiFailure where it names none."""
    found = _PLACE.fullmatch(failure.field or "")
    if failure.status != 422 or found is None:
        raise failure
    _report(group[int(found[1])], found[2], failure.message, problems)


def _report(declared: Declared, path: str | None, message: str, problems: Problems) -> None:
    what = f"{path}: {message}" if path else message
    problems.report(f'endpoint "{declared.name}": {what}', declared.place(path))


def _ask(client: ApiClient, sent: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what the platform says of each, in their order."""
    body = {"endpoints": list(sent)}
    answer: list[dict[str, Any]] = client.request(
        "POST", "/endpoints/plan", body=body, is_repeatable=True
    ).body["data"]
    return answer


def _step(settings: Mapping[str, Any], answer: Mapping[str, Any], renamed_from: str | None) -> Step:
    return Step(
        name=answer["name"],
        action=StepAction.RENAME if renamed_from is not None else StepAction(answer["action"]),
        renamed_from=renamed_from,
        before=answer["before"],
        after=answer["after"],
        changed=answer["changed"],
        changed_headers=answer["changed_headers"],
        etag=answer["etag"],
        held=answer["held"],
        settings=settings,
    )
