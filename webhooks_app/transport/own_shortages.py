"""Tell what fails for want of this machine's own means from what a server or its network fails in."""

import errno
import os
import socket

from webhooks_app.transport.curl_errors import OWN_SHORTAGES


def descriptor_shortage() -> int:
    """Return the errno with which this process cannot open a file just now, else 0."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno or 0
    return 0


def is_out_of_ports(address: str) -> bool:
    """Return whether EADDRNOTAVAIL means that no port of ours is left, and not that no address leads there.

    Nothing is sent: connecting a datagram socket chooses our address, and a port that TCP does not share.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL and error.errno in OWN_SHORTAGES
    return True
