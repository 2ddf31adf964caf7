"""What a request brings, as one of the API's models; what is wrong with it is said at its field."""

import re
from typing import Any, NoReturn, TypeVar

import msgspec
from flask import g, request
from msgspec import inspect

from webhooks_app.web.api.errors import refuse
from webhooks_app.web.api.request_body import read_json

Model = TypeVar("Model")

# What manages things is small; only events may be large.
LARGEST_BODY_BYTES = 64 * 1024

_KINDS = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_LENGTH = re.compile(r"Expected `(str|array)` of length (>=|<=) (\d+)")
_RANGE = re.compile(r"Expected `(?:int|float)` (>=|<=) (\d+)")
_TYPE = re.compile(r"Expected `(.+?)`, got `(.+?)`")


def read_body(
    model: type[Model], *, largest_bytes: int = LARGEST_BODY_BYTES, is_optional: bool = False
) -> Model:
    """Return the request's JSON as the model; its bytes stay in `g.raw_body`.

    Raises ApiError: 413 for one that is too large, 400 for what is no JSON, 422 for the rest. With
    `is_optional`, no body at all is an empty object.
    """
    value, g.raw_body = read_json(largest_bytes, is_optional=is_optional)
    if not isinstance(value, dict):
        refuse(422, "invalid", "The body must be an object.")
    return convert(value, model)


def convert(value: Any, model: type[Model]) -> Model:
    """Return parsed JSON as the model. Raises ApiError 422."""
    try:
        return msgspec.convert(value, model)
    except msgspec.ValidationError as error:
        _refuse(422, str(error), "field", model)


def read_query(model: type[Model]) -> Model:
    """Return the arguments of the request's URL as the model. Raises ApiError 400."""
    given = request.args.to_dict(flat=False)
    for name, values in given.items():
        if len(values) > 1:
            refuse(400, "invalid_parameter", f"Name the parameter {name[:64]!r} once.", name)
    try:
        return msgspec.convert({name: value for name, [value] in given.items()}, model, strict=False)
    except msgspec.ValidationError as error:
        _refuse(400, str(error), "parameter", model)


def _refuse(status: int, error: str, what: str, model: type[Any]) -> NoReturn:
    found = _AT.match(error)
    assert found
    problem, path = found["what"], found["path"] or ""
    if unknown := _UNKNOWN.fullmatch(problem):
        name = unknown[1]
        refuse(status, f"unknown_{what}", f"There is no {what} {name[:64]!r} here.", _join(path, name))
    code = "invalid" if what == "field" else f"invalid_{what}"
    if missing := _MISSING.fullmatch(problem):
        refuse(status, code, "This field is required.", _join(path, missing[1]))
    choices = _choices(model, path) if problem.startswith("Invalid enum value") else []
    message = f"It is none of {', '.join(choices)}." if choices else _sentence(problem)
    refuse(status, code, message, path or None)


def _choices(model: type[Any], path: str) -> list[str]:
    """Return what a field of the model may be that is an enum; nothing of one that lies deeper."""
    info = inspect.type_info(model)
    assert isinstance(info, inspect.StructType)
    kinds = [_bare(each.type) for each in info.fields if each.encode_name == path]
    kinds = [_bare(part) for kind in kinds for part in getattr(kind, "types", [kind])]
    return [str(member.value) for kind in kinds if isinstance(kind, inspect.EnumType) for member in kind.cls]


def _bare(kind: inspect.Type) -> inspect.Type:
    """Return a type without what is said of it."""
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _sentence(problem: str) -> str:
    """Return what msgspec says as a sentence without its names of types."""
    if found := _LENGTH.fullmatch(problem):
        kind, bound, limit = found.groups()
        unit = "characters" if kind == "str" else "entries"
        return (
            f"It may have {limit} {unit} at most." if bound == "<=" else f"It needs {limit} {unit} or more."
        )
    if found := _RANGE.fullmatch(problem):
        return f"It must be {found[2]} or {'more' if found[1] == '>=' else 'less'}."
    if found := _TYPE.fullmatch(problem):
        expected = " or ".join(_KINDS.get(kind, kind) for kind in found[1].split(" | "))
        return f"It must be {expected}, not {_KINDS.get(found[2], found[2])}."
    if problem.startswith("Invalid enum value"):
        return "It is not one of the allowed values."
    return "It does not have the required form."
