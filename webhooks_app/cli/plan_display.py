"""A plan as people read it, as a diff, and as programs do; secrets in neither. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from webhooks_app.cli.requested_plan import Plan, Step, StepAction
from webhooks_app.core.text_display import MASK, flatten
from webhooks_app.core.url_masking import mask_url

_SIGNS = {
    StepAction.CREATE: "+",
    StepAction.RENAME: "~",
    StepAction.CHANGE: "~",
    StepAction.DELETE: "-",
    StepAction.RELEASE: "~",
    StepAction.NONE: " ",
}
_FIELDS = (
    *("url", "all_events", "event_types", "timeout_seconds"),
    *("rate_per_second", "headers", "disabled", "managed_by"),
)
_COUNTED = {
    StepAction.CREATE: "to add",
    StepAction.RENAME: "to rename",
    StepAction.CHANGE: "to change",
    StepAction.DELETE: "to delete",
    StepAction.RELEASE: "to let go of",
    StepAction.NONE: "unchanged",
}


def lines(plan: Plan) -> Iterator[str]:
    """Yield the diff; each line begins with `+`, `~` or `-`, as its step does, or with a space."""
    for step in plan.pending:
        yield f"{_SIGNS[step.action]} {flatten(step.name)}{_remark(step, plan)}"
        yield from _details(step)
    for name in plan.left:
        yield f"  {flatten(name)}: left the file; --prune deletes it, --release lets go of it"
    if not plan.pending:
        count = len(plan.steps)
        endpoints = "1 endpoint is" if count == 1 else f"{count} endpoints are"
        yield f"No changes: {endpoints} as the file says."
    else:
        counts = ((word, len(plan.with_action(action))) for action, word in _COUNTED.items())
        yield "Plan: " + ", ".join(f"{count} {word}" for word, count in counts if count) + "."


def _remark(step: Step, plan: Plan) -> str:
    if step.renamed_from is not None:
        kept = "keeps its id, signing secret and log"
        also = _manager_remark(step, plan).replace(": ", "; ", 1)
        return f": renamed from {flatten(step.renamed_from)}, {kept}{also}"
    if step.action is StepAction.CREATE:
        return ": new"
    if step.action is StepAction.DELETE:
        return ": left the file; deleted with its signing secret and what waits for it"
    if step.action is StepAction.RELEASE:
        return ": left the file; stays as it is, managed by nothing"
    return _manager_remark(step, plan)


def _manager_remark(step: Step, plan: Plan) -> str:
    before = step.manager_before
    if before is None:
        return ": adopted, as nothing managed it"
    return f": taken from {flatten(before)}" if before != plan.managed_by else ""


def _details(step: Step) -> Iterator[str]:
    before, after = _settings(step.before), step.after or {}
    for name in _FIELDS:
        if step.action is StepAction.CREATE and after.get(name) not in (None, [], False):
            yield f"    + {name}: {_text(name, after[name])}"
        elif step.action in (StepAction.CHANGE, StepAction.RENAME) and name in step.changed:
            yield f"    ~ {name}: {_difference(name, before.get(name), after[name], step)}"


def _difference(name: str, before: Any, after: Any, step: Step) -> str:
    if name == "headers":
        return _header_difference(before, after, step)
    if isinstance(before, list) and isinstance(after, list):
        gone, new = sorted(set(before) - set(after)), sorted(set(after) - set(before))
        return " ".join([*(f"- {flatten(each)}" for each in gone), *(f"+ {flatten(each)}" for each in new)])
    old, new_text = _text(name, before), _text(name, after)
    masked = " (what is masked differs)" if name == "url" and old == new_text else ""
    return f"{old} → {new_text}{masked}"


def _header_difference(before: Any, after: Any, step: Step) -> str:
    if before is None:
        return "replaces those that cannot be decrypted"
    old, new = {each["name"] for each in before}, {each["name"] for each in after}
    parts = [f"- {flatten(each)}" for each in sorted(old - new)]
    parts += [f"+ {flatten(each)}" for each in sorted(new - old)]
    parts += [f"{flatten(each)}: another value" for each in step.changed_headers if each in old & new]
    return ", ".join(parts) or "another order"


def _text(name: str, value: Any) -> str:
    if name == "url":
        return flatten(mask_url(value))
    if name == "headers":
        return ", ".join(f"{flatten(each['name'])}: {MASK}" for each in value)
    if isinstance(value, list):
        return ", ".join(flatten(each) for each in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else flatten(str(value))


def _settings(endpoint: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return an endpoint's settings as the file has them, of an answer of the API."""
    return {**endpoint, "disabled": endpoint["state"] == "disabled"} if endpoint else {}


def as_json(plan: Plan) -> dict[str, Any]:
    """Return the plan for programs."""
    return {
        "managed_by": plan.managed_by,
        "pending": len(plan.pending),
        "steps": [_step_json(step) for step in plan.steps],
        "left": list(plan.left),
    }


def _step_json(step: Step) -> dict[str, Any]:
    before, after = _settings(step.before), step.after or {}
    return {
        "name": step.name,
        "action": step.action,
        "renamed_from": step.renamed_from,
        "changed": list(step.changed),
        "changed_headers": list(step.changed_headers),
        "before": _shown(before) if before else None,
        "after": _shown(after) if after else None,
    }


def _shown(settings: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: settings[name] for name in _FIELDS}
    headers: Sequence[Mapping[str, Any]] | None = shown["headers"]
    names = None if headers is None else [each["name"] for each in headers]
    return {**shown, "url": mask_url(shown["url"]), "headers": names}
