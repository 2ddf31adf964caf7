"""Whether two requests under one idempotency key hand over the same event: by a hash, with older ones known.

Numbers count as they are written, to the last digit, though not how many zeros stand at their ends. The code
before took them as floats, and its hashes stand in the table: they are compared as they were made. Data
without fractions and exponents has the same hash by both. Pure.
"""

import hashlib
import json
import re
from decimal import Decimal
from typing import Any

from webhooks_app.core import json_parsing

# Strings hold it, too; without it there is no such number.
_FRACTION = re.compile(rb"[0-9][.eE]")


def of_event(event_type: str, data: dict[str, Any], raw_data: bytes) -> str:
    """Return the hash, SHA-256 in hexadecimal, of an event whose `data` is `raw_data` as JSON."""
    if not _FRACTION.search(raw_data):
        return _of_floats(event_type, data)
    exact: list[str] = []

    def written(number: str) -> str:
        # A string that is none of the data's, as these hold no NUL.
        exact.append(f"\0{_exact_text(number)}")
        return exact[-1]

    parsed = json.loads(raw_data, parse_float=written)
    return _digest([event_type, parsed]) if exact else _of_floats(event_type, data)


def is_repeat(
    earlier_hash: str | None, earlier_body: bytes, *, sent_hash: str | None, sent_body: bytes
) -> bool:
    """Tell whether the event whose envelope is `sent_body` is the earlier one again."""
    if earlier_hash == sent_hash:
        return True
    sent = json_parsing.data_as_sent(sent_body)
    event_type = json.loads(sent_body)["type"]
    return earlier_hash == _of_floats(event_type, json.loads(sent)) and _has_same_numbers(
        json_parsing.data_as_sent(earlier_body), sent
    )


def _has_same_numbers(before: bytes, now: bytes) -> bool:
    """Tell whether data with the same hash by floats is the same to the last digit.

    What was stored before numbers were kept as written is compared with what it was made of: floats.
    """
    parse = json_parsing.parse_to_the_digit
    return before == now or parse(before) in (parse(now), parse(json.dumps(json.loads(now)).encode()))


def _of_floats(event_type: str, data: Any) -> str:
    return _digest([event_type, data])


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
