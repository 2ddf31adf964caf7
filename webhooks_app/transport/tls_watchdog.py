"""End TLS handshakes that never end: OpenSSL reads one in one go, and libcurl does not return meanwhile."""

import threading
import time

from webhooks_app.transport.sender_limits import FloodLimits
from webhooks_app.transport.watched_sockets import WatchedSockets


class TlsHandshakeWatchdog:
    """Shut down what floods, from a thread of its own, while a call of libcurl takes too long."""

    def __init__(self, sockets: WatchedSockets, limits: FloodLimits) -> None:
        self._sockets = sockets
        self._longest_seconds = limits.libcurl_call_seconds
        self._call_began_at = 0.0
        self._is_closed = threading.Event()
        threading.Thread(target=self._watch, name="tls-watchdog", daemon=True).start()

    def note_call(self, now: float) -> None:
        self._call_began_at = now

    def note_return(self) -> None:
        self._call_began_at = 0.0

    def close(self) -> None:
        self._is_closed.set()

    def _watch(self) -> None:
        while not self._is_closed.wait(self._longest_seconds / 2):
            if self._call_began_at and time.monotonic() - self._call_began_at > self._longest_seconds:
                self._sockets.shut_down_flooded()
