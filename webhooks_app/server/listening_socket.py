"""The socket that the web listens on, and who has connected to it and was not accepted yet."""

import select
import socket

BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises OSError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named: asyncio sets TCP_NODELAY only where it knows that a connection is one of TCP.
    # Without it, each body would wait 40 ms for the client's word that it has the head.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def has_connections_waiting(listener: socket.socket) -> bool:
    """Return whether somebody has connected whom nobody has accepted."""
    if listener.fileno() < 0:  # closed meanwhile, as by an end that follows a restart
        return False
    poll = select.poll()  # which takes any descriptor
    poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))
