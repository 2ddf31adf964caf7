"""A network namespace on a link of its own: another host, as far as TCP can tell, whose cable can be cut."""

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

# 198.18.0.0/15 is for tests of networks (RFC 2544), and a process's own part of it for each process.
NETWORK = f"198.{18 + os.getpid() % 2}.{os.getpid() // 2 % 256}"
_numbers = itertools.count(1)


class Namespace:
    """`inside` and `outside` are the addresses of the link's two ends; needs root and `ip` of iproute2."""

    def __init__(self) -> None:
        number = next(_numbers) % 63
        self._name = f"avra-{os.getpid()}-{number}"
        self._link = f"av{os.getpid() % 10**6}n{number}"  # a link's name has 15 characters at most
        self.outside, self.inside = (f"{NETWORK}.{number * 4 + host}" for host in (1, 2))

    @contextmanager
    def existing(self) -> Iterator["Namespace"]:
        """Make namespace and link for the block. Raises CalledProcessError where that is not allowed."""
        ip("netns", "add", self._name)
        try:
            self._connect()
            yield self
        finally:
            ip("netns", "delete", self._name)  # and with it the link

    @property
    def prefix(self) -> list[str]:
        """Return what a command is to run under to run inside."""
        return ["ip", "netns", "exec", self._name]

    def cut(self) -> None:
        """Drop whatever is sent in either direction from now on; nobody is told."""
        ip("-n", self._name, "link", "set", "eth0", "down")

    def mend(self) -> None:
        ip("-n", self._name, "link", "set", "eth0", "up")

    def _connect(self) -> None:
        peer = ("type", "veth", "peer", "name", "eth0", "netns", self._name)
        ip("link", "add", self._link, *peer)
        ip("-n", self._name, "link", "set", "lo", "up")
        ip("-n", self._name, "address", "add", f"{self.inside}/30", "dev", "eth0")
        ip("-n", self._name, "link", "set", "eth0", "up")
        ip("address", "add", f"{self.outside}/30", "dev", self._link)
        ip("link", "set", self._link, "up")
        # With a fixed entry nobody asks who has the address, which would end as "no route to host".
        ip("neighbour", "replace", self.inside, "lladdr", self._hardware_address(), "dev", self._link)

    def _hardware_address(self) -> str:
        shown = subprocess.run(
            [*self.prefix, "cat", "/sys/class/net/eth0/address"], check=True, capture_output=True, text=True
        )
        return shown.stdout.strip()


def ip(*arguments: str) -> str:
    """Run `ip` and return what it prints. Raises CalledProcessError."""
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
