"""What is known of servers' TLS handshakes, for the sentence about a connection that is lost behind one.

What a server asks for in its handshake is told by libcurl's trace alone, which takes time in each request,
and not at all where a session is resumed. It explains something only while a server does not answer.
"""

from webhooks_app.transport.resolved_target import Target

# Past this they are learned anew.
_MOST = 10_000


class TlsServers:
    """One per `Transfers`."""

    def __init__(self) -> None:
        self._answering: set[tuple[str, int]] = set()
        self._asking: set[tuple[str, int]] = set()

    def is_answering(self, target: Target) -> bool:
        """Return whether the last request to it had an answer."""
        return (target.host, target.port) in self._answering

    def has_asked(self, target: Target) -> bool:
        """Return whether it asked for a client certificate before, and no request was answered since."""
        return (target.host, target.port) in self._asking and not self.is_answering(target)

    def note(self, target: Target, *, has_answered: bool, has_asked: bool) -> None:
        """Remember how a request ended, if it went over TLS; `has_asked` is for a client certificate."""
        if not target.is_tls:
            return
        server = target.host, target.port
        if has_asked:
            _add(self._asking, server)
        if has_answered:
            _add(self._answering, server)
        else:
            self._answering.discard(server)


def _add(servers: set[tuple[str, int]], server: tuple[str, int]) -> None:
    if len(servers) >= _MOST:
        servers.clear()
    servers.add(server)
