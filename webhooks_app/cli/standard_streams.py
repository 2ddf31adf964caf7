"""The standard streams of a process, made fit for whatever is printed, wherever it was started from."""

import codecs
import errno
import os
import sys
from contextlib import suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any

# What a terminal of another encoding shows in place of the signs that the shell's output is made of.
_ASCII = {"…": "...", "–": "-", "−": "-", "’": "'", "“": '"', "”": '"', "«": '"', "»": '"'}
_ERRORS = "webhooks-readable"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def make_robust() -> None:
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


class _Lossy(FileIO):
    """A file that takes what it has no room for, and loses it."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            return memoryview(data).nbytes


def outlast_full_disk() -> None:
    """Lose what is printed while the disk behind a stream is full: for processes that do more than print.

    A command whose output is its result has to fail instead.
    """
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if isinstance(stream, TextIOWrapper) and _number_of(stream) == number:
            setattr(sys, name, _lossy(stream, number))


def _number_of(stream: TextIOWrapper) -> int | None:
    with suppress(OSError):
        return stream.fileno()
    return None


def _lossy(stream: TextIOWrapper, number: int) -> TextIOWrapper:
    with suppress(OSError):
        stream.flush()
    return TextIOWrapper(
        BufferedWriter(_Lossy(number, "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        # Python has a stream that must not keep anything write through to what is not buffered; here it is.
        line_buffering=stream.line_buffering or stream.write_through,
    )


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
