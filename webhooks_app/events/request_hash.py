"""Whether two requests under one idempotency key hand over the same event: by a hash, then by every number.

The hash takes numbers as floats, as it has since the first version: during a rolling upgrade each process
knows the events of the others. So numbers that differ beyond a float's digits have the same hash, and those
are compared as they are written, though not by how many zeros stand at their ends. Pure.
"""

import hashlib
import json
import re
from decimal import Decimal
from typing import Any

from webhooks_app.core import json_parsing

# Strings hold it, too; without it there is no such number.
_FRACTION = re.compile(rb"[0-9][.eE]")


def of_event(event_type: str, data: dict[str, Any]) -> str:
    """Return the hash, SHA-256 in hexadecimal, of an event."""
    return _digest([event_type, data])


def exact_hash(event_type: str, data: dict[str, Any], raw_data: bytes) -> str:
    """Return a hash of an event whose `data` is `raw_data` as JSON, each number to its last digit."""
    if not _FRACTION.search(raw_data):
        return of_event(event_type, data)
    exact: list[str] = []

    def written(number: str) -> str:
        # A string that is none of the data's, as these hold no NUL.
        exact.append(f"\0{_exact_text(number)}")
        return exact[-1]

    parsed = json.loads(raw_data, parse_float=written)
    return _digest([event_type, parsed]) if exact else of_event(event_type, data)


def is_repeat(
    earlier_hash: str | None, earlier_body: bytes, *, sent_hash: str | None, sent_body: bytes
) -> bool:
    """Return whether the event whose envelope is `sent_body` is the earlier one again.

    Of one whose payload was erased, and whose body is empty, the hash is all that is left to tell by.
    """
    sent = json_parsing.data_as_sent(sent_body)
    if earlier_hash == sent_hash:
        if not earlier_body or not _FRACTION.search(sent):
            return True
        return _has_same_numbers(json_parsing.data_as_sent(earlier_body), sent)
    # An earlier version hashed events this way.
    return earlier_hash == exact_hash(json.loads(sent_body)["type"], json.loads(sent), sent)


def _has_same_numbers(before: bytes, now: bytes) -> bool:
    parse = json_parsing.parse_to_the_digit
    return before == now or parse(before) == parse(now)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _exact_text(number: str) -> str:
    """Return the same text for each spelling of a number, whatever its exponent."""
    exact = json_parsing.exact_number(number)
    if not isinstance(exact, Decimal):
        return exact
    sign, digits, exponent = exact.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    significant = text.rstrip("0")
    minus = "-" if sign else ""
    if not significant:
        return f"{minus}0"
    return f"{minus}{significant}e{int(exponent) + len(text) - len(significant)}"
