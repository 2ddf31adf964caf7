"""The headers of a response, packed beside the moment of its attempt. Pure.

A receiver's `Date` is that moment but for some seconds, and hexadecimal digits of request ids, which nothing
compresses, take half as many bytes. The rest is deflated with a dictionary of what receivers answer, which
may never change, as rows hold it for years.
"""

import re
from datetime import datetime
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

from webhooks_app.db.preset_deflate import DamagedStream, PresetDeflate
from webhooks_app.db.response_dictionary import DICTIONARY

# What stands in the deflated text for what is kept elsewhere; headers that hold one of these bytes are not
# packed this way.
_DATE, _UUID, _HEX = b"\1", b"\2", b"\3"
_MARKED = b"\0\1\2\3"
_MARKERS = re.compile(rb"([\0-\3])")
_HEX_BYTES = 8
_SIZES = {b"\0": 0, _DATE: 0, _UUID: 2 * _HEX_BYTES, _HEX: _HEX_BYTES}  # of what was taken out
# In one byte, 128 more than the seconds from the attempt's start to its date; 0 where that is kept as it is.
_NO_DATE, _ZERO_SECONDS, _LARGEST_OFFSET = 0, 128, 255
_DATE_HEADER = re.compile(
    rb"(?<=ate: )(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT(?=\r\n)"
)
_DIGITS = re.compile(rb"([0-9a-f]{8}(?:[0-9a-f]{8}|-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}))")
_UUID_PARTS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))
_FIXED_BYTES = 2  # how far the date is off, and how many times eight bytes of digits follow
_MOST_DIGITS = 255 * _HEX_BYTES
_DEFLATE = PresetDeflate(DICTIONARY, level=6)
_REMEMBERED_BYTES, _REMEMBERED_COUNT = 1024, 256  # of deflated texts: a quarter of a MiB at most


def pack(started_at: datetime, head: bytes) -> bytes | None:
    """Return the headers packed; None where they hold a byte that no header should."""
    if len(head.translate(None, _MARKED)) < len(head):
        return None
    head, offset = _take_date(started_at, head)
    text, raw = _take_digits(head)
    return b"%c%c%b%b" % (offset, len(raw) // _HEX_BYTES, raw, _deflate(text))


def unpack(started_at: datetime, packed: bytes) -> bytes:
    """Return the headers. Raises DamagedStream."""
    if len(packed) < _FIXED_BYTES:
        raise DamagedStream
    digits_end = _FIXED_BYTES + packed[1] * _HEX_BYTES
    text = _DEFLATE.unpack(packed[digits_end:])
    parts, place = _MARKERS.split(text), _FIXED_BYTES
    for index in range(1, len(parts), 2):
        size = _SIZES[parts[index]]
        taken = packed[place : min(place + size, digits_end)]
        parts[index] = _put_back(parts[index], taken, started_at, packed[0])
        place += size
    if place != digits_end:
        raise DamagedStream
    return b"".join(parts)


def _deflate(text: bytes) -> bytes:
    """Return it deflated; without dates and ids, many attempts have the same."""
    return _remembered(text) if len(text) <= _REMEMBERED_BYTES else _DEFLATE.pack(text)


@lru_cache(maxsize=_REMEMBERED_COUNT)
def _remembered(text: bytes) -> bytes:
    return _DEFLATE.pack(text)


def _take_date(started_at: datetime, head: bytes) -> tuple[bytes, int]:
    """Return the headers with a marker for their date, and that as an offset."""
    found = _DATE_HEADER.search(head)
    seconds = _read_date(found.group()) if found else None
    if found is None or seconds is None:
        return head, _NO_DATE
    offset = seconds - int(started_at.timestamp()) + _ZERO_SECONDS
    if not _NO_DATE < offset <= _LARGEST_OFFSET:
        return head, _NO_DATE
    return head[: found.start()] + _DATE + head[found.end() :], offset


def _take_digits(head: bytes) -> tuple[bytes, bytes]:
    """Return the headers with markers for hexadecimal digits, and these as bytes."""
    parts = _DIGITS.split(head)
    found = parts[1::2]
    raw = bytes.fromhex(b"".join(found).replace(b"-", b"").decode()) if found else b""
    if not found or len(raw) > _MOST_DIGITS:
        return head, b""
    parts[1::2] = [_HEX if len(each) == 2 * _HEX_BYTES else _UUID for each in found]
    return b"".join(parts), raw


def _put_back(marker: bytes, taken: bytes, started_at: datetime, offset: int) -> bytes:
    if marker == _DATE and offset != _NO_DATE:
        return _spell_date(int(started_at.timestamp()) + offset - _ZERO_SECONDS)
    if not taken:
        raise DamagedStream
    digits = taken.hex().encode()
    return digits if marker == _HEX else b"-".join(digits[start:end] for start, end in _UUID_PARTS)


@lru_cache(maxsize=64)  # one for all attempts of a second
def _read_date(text: bytes) -> int | None:
    """Return the seconds since 1970 of a `Date` that is spelt as RFC 9110, section 5.6.7, prefers it."""
    try:
        seconds = int(parsedate_to_datetime(text.decode()).timestamp())
    except ValueError:  # a month or a day that there is not
        return None
    return seconds if _spell_date(seconds) == text else None  # it may name another day of the week


@lru_cache(maxsize=64)
def _spell_date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode()
