"""Hosts on one switch, as network namespaces on a bridge. Needs root, and `ip` of iproute2."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from faults.network import NETWORK, ip


class Host:
    """One namespace; whatever runs under `prefix` runs there."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.address = name, f"{NETWORK}.{number}"
        self._number = number
        self._namespace = f"avra-{os.getpid()}-{name}"
        self._link = f"ah{os.getpid() % 10**6}n{number}"  # a link's name has 15 characters at most

    @property
    def prefix(self) -> list[str]:
        """Return what a command is to run under to run on this host."""
        return ["/usr/bin/env", "ip", "netns", "exec", self._namespace]

    def cut(self) -> None:
        """Drop whatever is sent in either direction from now on; nobody is told."""
        ip("link", "set", self._link, "down")

    def mend(self) -> None:
        ip("link", "set", self._link, "up")

    def kill_processes(self) -> None:
        """Cut the link, then kill everything that runs there, so that no connection is closed in order."""
        self.cut()
        for pid in ip("netns", "pids", self._namespace).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def connect(self, bridge: str) -> None:
        """Make the namespace, and its link to the bridge."""
        ip("netns", "add", self._namespace)
        ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self._namespace)
        ip("link", "set", self._link, "master", bridge, "up")
        ip("-n", self._namespace, "link", "set", "lo", "up")
        ip("-n", self._namespace, "address", "add", f"{self.address}/24", "dev", "eth0")
        ip("-n", self._namespace, "link", "set", "eth0", "up")

    def delete(self) -> None:
        """Delete the namespace, and with it the link. Processes there go on, without a network."""
        with suppress(subprocess.CalledProcessError):
            ip("netns", "delete", self._namespace)


class Network:
    """Hosts on a bridge, to which this process's own namespace is connected as `address`."""

    def __init__(self) -> None:
        self.address = f"{NETWORK}.1"
        self._bridge = f"ab{os.getpid()}"
        self._hosts: list[Host] = []

    @contextmanager
    def existing(self) -> Iterator["Network"]:
        """Make the bridge for the block. Raises CalledProcessError where that is not allowed."""
        ip("link", "add", self._bridge, "type", "bridge")
        try:
            ip("address", "add", f"{self.address}/24", "dev", self._bridge)
            ip("link", "set", self._bridge, "up")
            yield self
        finally:
            for host in self._hosts:
                host.delete()
            ip("link", "delete", self._bridge)

    def add(self, name: str) -> Host:
        """Make a host and return it; the first is `.2`."""
        host = Host(name, len(self._hosts) + 2)
        self._hosts.append(host)
        host.connect(self._bridge)
        return host
