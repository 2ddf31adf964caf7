"""The standard streams of a process, made fit for whatever is printed, wherever it was started from."""

import codecs
import os
import sys
from contextlib import suppress
from io import TextIOWrapper

# What a terminal of another encoding shows in place of the signs that the shell's output is made of.
_ASCII = {"…": "...", "–": "-", "−": "-", "’": "'", "“": '"', "”": '"', "«": '"', "»": '"'}
_ERRORS = "webhooks-readable"


def prepare() -> None:
    """Have standard streams exist, and printing never fail for a character that their encoding lacks."""
    for number in range(3):
        _open_if_closed(number)
    codecs.register_error(_ERRORS, _replace)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = open(os.devnull, "w", encoding="utf-8", errors=_ERRORS)  # noqa: SIM115  for good
            setattr(sys, name, nowhere)
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def _open_if_closed(number: int) -> None:
    """A file opened later would take the stream's number, and be handed on as the stream of a new process."""
    with suppress(OSError):
        os.fstat(number)
        return
    os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    if all(each in _ASCII for each in missing):
        return "".join(_ASCII[each] for each in missing), error.end
    return codecs.backslashreplace_errors(error)
