"""The body of a receiver's response as people read it: unpacked and decoded as its own headers say.

What is stored stays as it came. All of it is bounded, as receivers may mean harm.
"""

import codecs
import encodings.aliases
import pkgutil
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from webhooks_app.web.charset_labels import CODECS

# As much as is kept of a body: a page with fifty attempts shows this fifty times.
SHOWN_BYTES = 16 * 1024
# More than one is rare, and each may be a bomb.
MOST_CODINGS = 4
# gzip files may be strung together (RFC 1952, section 2.2), and each of them be empty.
MOST_MEMBERS = 100
# So much of what stands before a broken byte may be lost.
_STEP_BYTES = 256
_GZIP_WINDOW, _ZLIB_WINDOW, _RAW_WINDOW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_NOT_UNPACKED = {"br": "brotli (br)", "zstd": "zstd"}

# Python's own notations, which no content type means; punycode takes quadratic time.
_NO_CHARSETS = {"aliases", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs"}
_CHARSETS = {module.name for module in pkgutil.iter_modules(encodings.__path__)} - {"oem", *_NO_CHARSETS}
_CHARSET = re.compile(r';\s*charset\s*=\s*["\']?([A-Za-z0-9._:+-]{1,40})', re.IGNORECASE)
_MARKS = ((codecs.BOM_UTF8, "utf_8"), (codecs.BOM_UTF16_LE, "utf_16"), (codecs.BOM_UTF16_BE, "utf_16"))
# What Python makes of bytes that Windows' Shift_JIS has no character for, as `surrogateescape` would have it.
_GAPS = {0xF8F0: 0xDCA0, 0xF8F1: 0xDCFD, 0xF8F2: 0xDCFE, 0xF8F3: 0xDCFF}


class ResponseText(NamedTuple):
    """A body for display, as bytes where it stays packed, and sentences about what was done with it."""

    content: str | bytes
    notes: Sequence[str]


class _Unpacked(NamedTuple):
    """`problem` ends a sentence about what was packed; `is_cut` says that there is more than this."""

    content: bytes
    is_cut: bool = False
    problem: str = ""


def decode_body(headers: Iterable[tuple[str, str]], body: bytes, *, is_cut: bool) -> ResponseText:
    """Return the body as text; `is_cut` says that more had come than was kept.

    Content-Encoding: RFC 9110, section 8.4; the charset of Content-Type: section 8.3.2.
    """
    received = [(name.strip().lower(), value) for name, value in headers]
    codings = _codings(value for name, value in received if name == "content-encoding")
    content, notes = body, list[str]()
    for position, coding in enumerate(codings):
        unpacked = _unpack(content, coding) if position < MOST_CODINGS else None
        if unpacked is None or (unpacked.problem and not unpacked.content):
            return ResponseText(content, [*notes, _packed_note(coding, unpacked)])
        notes += _unpacked_notes(coding, unpacked, is_cut=is_cut)
        content, is_cut = unpacked.content, is_cut or unpacked.is_cut or bool(unpacked.problem)
    declared = next((value for name, value in received if name == "content-type"), "")
    text, more = _decode(content, declared, is_cut=is_cut)
    return ResponseText(text, [*notes, *more])


def _codings(values: Iterable[str]) -> list[str]:
    """Return the names of the codings, in the order to undo them."""
    named = [name.strip().lower() for value in values for name in value.split(",")]
    return [name for name in reversed(named) if name not in ("", "identity")]


def _packed_note(coding: str, unpacked: _Unpacked | None) -> str:
    if unpacked is not None:
        return f"The header says {coding}, but the body {unpacked.problem}: these are its bytes."
    name = _NOT_UNPACKED.get(coding, coding[:40])
    return f"Packed with {name}, which is not unpacked here: these are its bytes."


def _unpacked_notes(coding: str, unpacked: _Unpacked, *, is_cut: bool) -> list[str]:
    notes = [f"Unpacked from {coding}."]
    if unpacked.is_cut:
        notes.append(f"What was packed is longer: this is its first {SHOWN_BYTES // 1024} KiB.")
    elif unpacked.problem and not is_cut:  # what was not kept whole has no whole end
        notes.append(f"What was packed {unpacked.problem}.")
    return notes


# ---- Content-Encoding


def _unpack(content: bytes, coding: str) -> _Unpacked | None:
    """Return what was packed, SHOWN_BYTES at most, or None for a coding that is not undone here."""
    if coding in ("gzip", "x-gzip"):
        return _inflate(content, _GZIP_WINDOW)
    if coding == "deflate":
        # Some servers leave the header of zlib out, and browsers take both (RFC 9110, section 8.4.1.2).
        return _inflate(content, _ZLIB_WINDOW if _has_zlib_header(content) else _RAW_WINDOW)
    return None


def _has_zlib_header(content: bytes) -> bool:
    """Tell it by the method and the check bits (RFC 1950, section 2.2)."""
    return len(content) > 1 and content[0] & 15 == 8 and (content[0] << 8 | content[1]) % 31 == 0


def _inflate(content: bytes, window: int) -> _Unpacked:
    found = bytearray()
    for _ in range(MOST_MEMBERS):
        try:
            rest = _inflate_member(content, window, found)
        except zlib.error:
            return _Unpacked(bytes(found), problem="is broken" if found else "is something else")
        if len(found) > SHOWN_BYTES:
            return _Unpacked(bytes(found[:SHOWN_BYTES]), is_cut=True)
        if rest is None:
            return _Unpacked(bytes(found), problem="ends too early")
        content = rest.lstrip(b"\0")  # padding, which gzip ignores
        if not content or window != _GZIP_WINDOW:
            return _Unpacked(bytes(found))
    return _Unpacked(bytes(found), is_cut=True)


def _inflate_member(content: bytes, window: int, found: bytearray) -> bytes | None:
    """Add what one packed file holds, until it is too much; return what follows the file, None for no end."""
    inflater, position = zlib.decompressobj(window), 0
    while position < len(content) and not inflater.eof and len(found) <= SHOWN_BYTES:
        step = content[position : position + _STEP_BYTES]
        found += inflater.decompress(step, SHOWN_BYTES + 1 - len(found))
        position += len(step)
    return inflater.unused_data + content[position:] if inflater.eof else None


# ---- The charset of Content-Type


def _decode(content: bytes, declared: str, *, is_cut: bool) -> tuple[str, list[str]]:
    """Return the text, what cannot be decoded as lone surrogates, and notes."""
    named = _CHARSET.search(declared)
    name = named[1] if named else ""
    charset = _codec_name(name)
    notes = [] if charset or not name else [f"Its charset {name} is not known here: read as UTF-8."]
    charset = _charset_by_mark(content, charset) or charset or "utf_8"
    if charset == "utf_16" and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        charset = "utf_16_le"  # as browsers do (Encoding Standard, "utf-16")
    if charset != "utf_8":
        notes.append(f"Read as {name or 'UTF-16'}.")
    return _decode_as(content, charset, is_cut=is_cut).removeprefix("\ufeff"), notes


def _codec_name(name: str) -> str:
    """Return the codec of a charset, or nothing."""
    if known := CODECS.get(name.lower()):
        return known
    normal = encodings.normalize_encoding(name).lower()
    codec = encodings.aliases.aliases.get(normal, normal)
    is_text = codec in _CHARSETS and getattr(codecs.lookup(codec), "_is_text_encoding", True)
    return codec if is_text else ""


def _charset_by_mark(content: bytes, charset: str) -> str:
    """Return the charset that a byte order mark names, unless the header names one that has none."""
    if charset and not charset.startswith("utf"):
        return ""
    if charset.startswith("utf_32"):
        return ""
    return next((marked for mark, marked in _MARKS if content.startswith(mark)), "")


def _decode_as(content: bytes, charset: str, *, is_cut: bool) -> str:
    """Return the text; of content that was cut, half a character at the end is left out."""
    for errors in ("surrogateescape", "backslashreplace"):  # the first is not for bytes below 0x80
        try:
            decoder = codecs.getincrementaldecoder(charset)(errors)
            text = decoder.decode(content, not is_cut)
            return text.translate(_GAPS) if charset == "cp932" and errors == "surrogateescape" else text
        except UnicodeError:
            continue
    return content.decode("utf-8", "surrogateescape")
