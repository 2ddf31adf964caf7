"""What keeps an event's data from fulfilling its JSON Schema, field by field, in words for producers."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, validators
from jsonschema.exceptions import ValidationError
from referencing import Registry

# A list of a million bad items must not become an answer of a million violations.
MOST_VIOLATIONS = 20

# RFC 3339 section 5.6. `fromisoformat` alone would also take week dates and times without an offset.
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

# A registry of nothing, so that a `$ref` to some URL is an error instead of a download while events come in.
NO_REMOTE_SCHEMAS: Registry[Any] = Registry()
# Those that need no further library: which ones happen to be installed must not decide what is accepted.
FORMATS = FormatChecker(
    ("date", "email", "idn-email", "idn-hostname", "ipv4", "ipv6", "regex", "time", "uuid"),
)

MESSAGES = {
    "type": "must be {}",
    "enum": "must be one of {}",
    "format": "must be {}",
    "pattern": "must match {}",
    "minLength": "must have {} or more characters",
    "maxLength": "must have {} or fewer characters",
    "minimum": "must be {} or more",
    "maximum": "must be {} or less",
    "minItems": "must have {} or more items",
    "maxItems": "must have {} or fewer items",
}
TYPE_NAMES = {"object": "an object", "array": "a list", "integer": "a whole number", "null": "null"}
FORMAT_NAMES = {"date-time": "a date and time with its offset, such as 2025-01-31T09:30:00Z"}


@dataclass(frozen=True, slots=True)
class Violation:
    """`field` is a dotted path (`data.error.code`, `data.aliases.0`); with `message` it makes a sentence."""

    field: str
    message: str


def validator_of(schema: dict[str, Any]) -> Any:
    """Return a validator that also checks formats and never fetches another schema."""
    return _Validator(schema, format_checker=FORMATS, registry=NO_REMOTE_SCHEMAS)


def find(validator: Any, data: object) -> list[Violation]:
    """Return what keeps `data` (parsed JSON) from fulfilling the schema; MOST_VIOLATIONS errors at most."""
    errors = islice(validator.iter_errors(data), MOST_VIOLATIONS)
    return list(dict.fromkeys(violation for error in errors for violation in _violations(error)))


@FORMATS.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]
def _is_date_time(value: object) -> bool:
    if not isinstance(value, str):
        return True
    return bool(DATE_TIME.fullmatch(value) and datetime.fromisoformat(value.upper()))


def _check_multiple(
    validator: Any, divisor: float, instance: object, _schema: object
) -> Iterator[ValidationError]:
    """Tell multiples in decimal: by floats 19.99 is none of 0.01, and an integer may be too large for one."""
    if validator.is_type(instance, "number") and Fraction(str(instance)) % Fraction(str(divisor)):
        yield ValidationError(f"{instance!r} is not a multiple of {divisor}")


_Validator: Any = validators.extend(Draft202012Validator, {"multipleOf": _check_multiple})


def _violations(error: ValidationError) -> Iterator[Violation]:
    path = ".".join(["data", *map(str, error.absolute_path)])
    if error.validator == "required":
        # One such error comes per missing field, each about all of them: the caller drops the repeats.
        missing = (name for name in error.validator_value if name not in error.instance)
        yield from (Violation(f"{path}.{name}", "is required") for name in missing)
    else:
        yield Violation(path, _message(error))


def _message(error: ValidationError) -> str:
    # The library's own messages quote the value, which may be large, or a secret sent in the wrong field.
    rule, value = error.validator, error.validator_value
    message = MESSAGES.get(rule, f"does not satisfy the schema's {rule!r} rule")
    return message.format(_describe(rule, value))


def _describe(rule: str, value: object) -> str:
    """Return what the rule asks for, in words."""
    listed: list[Any] = value if isinstance(value, list) else [value]
    if rule == "type":
        return " or ".join(TYPE_NAMES.get(name, f"a {name}") for name in listed)
    if rule == "format":
        return FORMAT_NAMES.get(str(value), f"a valid {value}")
    return ", ".join(each if isinstance(each, str) else json.dumps(each) for each in listed)
