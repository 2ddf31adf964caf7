"""Strict JSON for what clients send: RFC 8259 without what parsers read in different ways. Pure."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

DEEPEST = 64


class InvalidJson(ValueError):
    """The text is not JSON as we take it; the message is a sentence for the sender."""


def parse(raw: bytes) -> Any:
    """Return the value, for checks: numbers with a fraction or an exponent are floats in it.

    Raises InvalidJson for invalid UTF-8 or JSON, NaN and infinities, duplicate keys, lone surrogates, NUL in
    strings, and nesting deeper than `DEEPEST`.
    """
    try:
        value = json.loads(raw.decode(), parse_constant=_refuse_constant, object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise InvalidJson("The body is not UTF-8.") from None
    except RecursionError:
        raise InvalidJson(_TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise InvalidJson(
            f"The body is not JSON: {error.msg.removesuffix(' at')} at character {error.pos}."
        ) from None
    except InvalidJson:
        raise
    except ValueError:  # an integer of more digits than Python converts
        raise InvalidJson("A number is too large.") from None
    _check(value, 0)
    return value


class _Event(msgspec.Struct):
    data: msgspec.Raw


class _Batch(msgspec.Struct):
    events: list[_Event]


_event_decoder, _batch_decoder = msgspec.json.Decoder(_Event), msgspec.json.Decoder(_Batch)


def data_as_sent(event: bytes) -> bytes:
    """Return the text of `data` in a JSON object that `parse` took: numbers, escapes and space as written."""
    return bytes(_event_decoder.decode(event).data)


def batch_data_as_sent(batch: bytes) -> list[bytes]:
    """Return `data_as_sent` of each object in the list `events` of a JSON object that `parse` took."""
    return [bytes(event.data) for event in _batch_decoder.decode(batch).events]


def parse_to_the_digit(taken: bytes) -> Any:
    """Return the value of JSON that `parse` took, with Decimals where that has floats."""
    return json.loads(taken, parse_float=exact_number)


def exact_number(text: str) -> Decimal | str:
    """Return the number to the last digit; as text where its exponent is beyond a Decimal's."""
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of more digits than a Decimal has
        return text


_TOO_DEEP = f"The JSON is nested more than {DEEPEST} levels deep."


def _refuse_constant(name: str) -> None:
    raise InvalidJson(f"{name} is not a JSON number.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidJson("An object has the same key twice.")
    return found


def _check(value: Any, depth: int) -> None:
    if depth >= DEEPEST and isinstance(value, (list, dict)):
        raise InvalidJson(_TOO_DEEP)
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise InvalidJson("A number is too large.")
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check(item, depth + 1)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise InvalidJson("A string holds a NUL character.")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidJson("A string holds half of a surrogate pair.")
