"""What supervised processes print: read as it comes, without a thread, and printed under their names."""

import os
import selectors
import sys
import time
from collections.abc import Callable, Iterable
from itertools import cycle
from typing import IO

from webhooks_app.core.logging_setup import escape

_COLOURS = (36, 33, 32, 35, 31)  # of ANSI: cyan, yellow, green, magenta, red
# At a time, so that a process which prints on and on does not keep the others from being looked at.
_READ_BYTES = 64 * 1024
_LONGEST_LINE_BYTES = 64 * 1024  # what is longer is printed in pieces
_LAST_LINES_SECONDS = 1.0


class SupervisedOutput:
    """Prints lines under the names of the processes they come from, except those that say `ready`.

    `welcome` is printed once all of `awaited` have said that. `is_closed`: whether nobody reads what is
    printed any more; what processes print is then taken all the same.
    """

    def __init__(self, names: Iterable[str], *, awaited: Iterable[str], welcome: str) -> None:
        self._colours = dict(zip(names, cycle(_COLOURS), strict=False))
        self._width = max(map(len, self._colours))
        self._awaited = set(awaited)
        self._welcome: str | None = welcome
        self._selector = selectors.DefaultSelector()
        self.is_closed = False

    def follow(self, name: str, source: IO[bytes], *, says_ready: bool) -> "Follower":
        """Print from now on what comes from there, until its end, whenever `wait` or `finish` is called."""
        if says_ready:
            self._awaited.add(name)
        follower = Follower(source, lambda line: self._take(name, line))
        self._selector.register(source, selectors.EVENT_READ, follower)
        return follower

    def wait(self, seconds: float) -> None:
        """Print what comes within that time; return sooner if something did."""
        if not self._selector.get_map():
            time.sleep(seconds)
        for key, _ in self._selector.select(seconds):
            self._read(key.data)

    def finish(self, follower: "Follower") -> None:
        """Print what is left of it; a child of that process which lives on ends no output."""
        deadline = time.monotonic() + _LAST_LINES_SECONDS
        while not follower.is_over and time.monotonic() < deadline:
            self.wait(deadline - time.monotonic())

    def say(self, text: str) -> None:
        try:
            print(text, flush=True)
        except OSError:
            self.is_closed = True

    def _read(self, follower: "Follower") -> None:
        follower.read()
        if follower.is_over:
            self._selector.unregister(follower.source)
            follower.source.close()

    def _take(self, name: str, line: bytes) -> None:
        text = line.decode(errors="replace")
        if name in self._awaited and text.startswith("ready"):
            self._note_ready(name)
        else:
            self.say("\n".join(self._prefix(name) + escape(part) for part in text.splitlines()))

    def _note_ready(self, name: str) -> None:
        self._awaited.remove(name)
        if self._welcome is not None and not self._awaited:
            self.say(self._welcome)
            self._welcome = None

    def _prefix(self, name: str) -> str:
        prefix = f" {name:{self._width}} | "
        return f"\033[{self._colours[name]}m{prefix}\033[0m" if sys.stdout.isatty() else prefix


class Follower:
    """Splits what comes from a pipe into lines, and hands each to `take`; what is too long, in pieces."""

    def __init__(self, source: IO[bytes], take: Callable[[bytes], None]) -> None:
        self.source, self._take = source, take
        self.is_over = False
        self._begun = b""

    def read(self) -> None:
        """Take what has come, of which there must be something, be it the end."""
        chunk = os.read(self.source.fileno(), _READ_BYTES)
        *lines, self._begun = (self._begun + chunk).split(b"\n")
        for line in lines:
            self._take(line)
        self.is_over = not chunk
        if self.is_over and self._begun:
            self._take(self._begun)
        elif len(self._begun) >= _LONGEST_LINE_BYTES:
            end = _end_of_characters(self._begun)
            self._take(self._begun[:end])
            self._begun = self._begun[end:]


def _end_of_characters(text: bytes) -> int:
    """Return where the last whole character ends (UTF-8: RFC 3629, section 3)."""
    for behind in range(1, min(len(text), 4) + 1):
        if text[-behind] >= 0xC0:  # the first byte of several, whose upper bits say of how many
            needed = 2 + (text[-behind] >= 0xE0) + (text[-behind] >= 0xF0)
            return len(text) - behind if behind < needed else len(text)
        if text[-behind] < 0x80:
            break
    return len(text)
