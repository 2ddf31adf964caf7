"""Recognise a server that keeps sending without content, by the kernel's count of bytes."""

import fcntl
import socket
import sys
import termios
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.transport.sender_limits import FloodLimits

# Linux' struct tcp_info up to and with tcpi_bytes_received, an integer of 64 bits (linux/tcp.h).
_TCP_INFO_BYTES = 136


class FloodCounter:
    """Count the bytes of a connection that come in for one request: libcurl shows only those of content."""

    __slots__ = ("_bytes_before", "_reads")

    def __init__(self, bytes_before: int | None) -> None:
        """Leave out `bytes_before`, which came for earlier requests; None: what the first check finds."""
        self._reads, self._bytes_before = 0, bytes_before

    def is_flooded(self, descriptor: int, read_seconds: float, limits: FloodLimits) -> bool:
        """Return whether more came than any response takes. To be called after each read."""
        self._reads += 1
        if self._reads % limits.reads_per_check and read_seconds < limits.slow_read_seconds:
            return False
        received = bytes_received(descriptor)
        return self.exceeds(received, limits) or (received is None and self._reads > limits.max_reads)

    def exceeds(self, received: int | None, limits: FloodLimits) -> bool:
        """Return whether `received`, the present `bytes_received`, is too much for one request."""
        if self._bytes_before is None or received is None:
            self._bytes_before = received
            return False
        return received - self._bytes_before > limits.max_bytes


def refusal(limits: FloodLimits) -> tuple[OutcomeClass, str]:
    """Return what is said of a request whose connection was closed for it."""
    mebibytes = limits.max_bytes / 1024**2
    return OutcomeClass.INVALID_RESPONSE, (
        f"Over {mebibytes:g} MiB came in that is neither a response's head nor its body, "
        "so the connection was closed."
    )


def bytes_received(descriptor: int) -> int | None:
    """Return how many bytes this TCP connection ever received; None where the system does not tell."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None:
        return None
    try:  # without `_borrowed` and the class that Python puts on top, which take twice as long as the rest
        borrowed = socket.SocketType(socket.AF_INET, socket.SOCK_STREAM, 0, descriptor)
        try:
            info = borrowed.getsockopt(socket.IPPROTO_TCP, option, _TCP_INFO_BYTES)
        finally:
            borrowed.detach()
    except OSError:  # closed by now
        return None
    return int.from_bytes(info[-8:], sys.byteorder) or None if len(info) == _TCP_INFO_BYTES else None


def bytes_read(descriptor: int) -> int | None:
    """Return how many of them were read from the kernel; None also while more and more come in."""
    for _ in range(3):
        unread, received = _bytes_unread(descriptor), bytes_received(descriptor)
        if unread is None or received is None:
            return None
        if _bytes_unread(descriptor) == unread:  # nothing came between the two questions
            return received - unread
    return None


def _bytes_unread(descriptor: int) -> int | None:
    count = array("i", [0])
    try:
        fcntl.ioctl(descriptor, termios.FIONREAD, count)
    except OSError:  # closed by now
        return None
    return count[0]


def shut_down(descriptor: int) -> None:
    """End the connection without closing its descriptor, which is libcurl's."""
    with suppress(OSError), _borrowed(descriptor) as flooded:
        flooded.shutdown(socket.SHUT_RDWR)


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    borrowed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=descriptor)
    try:
        yield borrowed
    finally:
        borrowed.detach()
