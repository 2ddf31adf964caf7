"""Decide for libcurl whether a socket may be opened, and whether a request may go over a connection."""

import os
import socket
from typing import Any

import pycurl

from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.transport.exchange import Exchange
from webhooks_app.transport.idle_connections import IdleConnections
from webhooks_app.transport.target_policy import TargetPolicy
from webhooks_app.transport.watched_sockets import WatchedSockets

# Responses are small; it also bounds what libcurl reads in one go from a server that never stops sending.
RECEIVE_BUFFER_BYTES = 64 * 1024


class ConnectionGuard:
    def __init__(self, policy: TargetPolicy, sockets: WatchedSockets, idle: IdleConnections) -> None:
        self._policy = policy
        self._sockets = sockets
        self._idle = idle

    def open_socket(self, exchange: Exchange, _purpose: int, address: Any) -> Any:
        """Return a socket to this address if the policy allows it; else SOCKET_BAD, the reason in `exchange`.

        Called for CURLOPT_OPENSOCKETFUNCTION.
        """
        if not exchange.check_address(address.addr[0], address.addr[1], self._policy):
            return pycurl.SOCKET_BAD
        self._sockets.unregister_unwatched()
        try:
            opened = NewSocket(address.family, address.socktype, address.protocol)
            os.close(os.dup(opened.fileno()))  # pycurl does so next, and does not tell why it cannot
            return opened
        except OSError as error:
            problem = f"This platform could not open a socket: {error.strerror}."
            exchange.refusal = (OutcomeClass.PLATFORM, problem)
            return pycurl.SOCKET_BAD

    def check_connection(
        self, exchange: Exchange, address: str, _own_address: str, port: int, own_port: int
    ) -> int:
        """Return whether libcurl may send over the connection that it chose, for CURLOPT_PREREQFUNCTION."""
        if exchange.has_opened_socket:
            return int(pycurl.PREREQFUNC_OK)
        ends = address, port, own_port
        if not exchange.has_used_idle_connection and self._idle.is_reusable(ends):
            exchange.has_used_idle_connection = True
            if exchange.target.is_tls:
                exchange.unread_check = self._idle.unread_check(ends)
            return int(pycurl.PREREQFUNC_OK)
        # A second idle connection might break, too, and so on: libcurl would try five.
        exchange.needs_new_connection = True
        return int(pycurl.PREREQFUNC_ABORT)


class NewSocket:
    """Hold a socket for libcurl, which duplicates its descriptor; this one closes with the object."""

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        self._opened: socket.socket | None = None
        self._opened = socket.socket(family, kind, protocol)
        self._opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)

    def fileno(self) -> int:
        return self._opened.fileno() if self._opened else -1

    def __del__(self) -> None:
        if self._opened:
            self._opened.close()
