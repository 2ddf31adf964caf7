"""The platform of docs/production.md on many hosts, driven and judged as the fault suite does it."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from faults.fork_client import ForkClient, ProcessGroup
from faults.pooler import PgBouncer
from faults.system import System
from faults.waiting import wait_for
from hosts.databases import ReplicatedPostgresql
from hosts.network import Host, Network
from hosts.redis_sentinels import RedisWithSentinels
from hosts.reverse_proxy import ReverseProxy

WEBS, SCHEDULERS, WORKERS = 2, 2, 4
_READY_SECONDS = 60.0
_POOLER_PORT, _RECEIVER_PORT, _WEB_PORT = 6432, 8080, 8000
_SERVER_CONNECTIONS = 30


class Process:
    """One process of the platform on a host of its own."""

    def __init__(self, cluster: "Cluster", host: Host, command: str) -> None:
        self.host, self.command = host, command
        self._cluster = cluster
        # What runs in place of `avra` with that command, and what it is told beside the usual settings.
        self.program: list[str] | None = None
        self.settings: dict[str, str] = {}
        self.group = ProcessGroup(cluster.fork_client, self._execute)

    def start(self) -> None:
        """Start it unless it runs, and wait until it says that it is ready."""
        if self._cluster.fork_client.is_alive(self.group.pid):
            return
        before = self._times_ready()
        self.group.start()
        wait_for(lambda: self._times_ready() > before, _READY_SECONDS, f"{self.command} on {self.host.name}")

    def stop(self) -> float:
        """Ask it to end, and return how many seconds it took."""
        return self.group.stop(40)

    def restart(self) -> None:
        self.stop()
        self.start()

    def reload(self) -> None:
        """Have a web load its code anew under its process id, and wait until it has."""
        before = self._times_ready()
        self._cluster.fork_client.signal(self.group.pid, signal.SIGHUP)
        wait_for(lambda: self._times_ready() > before, _READY_SECONDS, f"{self.host.name}, loaded anew")

    def _execute(self) -> int:
        program = self.program or [sys.executable, "-m", "webhooks_app", self.command]
        return self._cluster.fork_client.execute(
            [*self.host.prefix, *program], name=self.host.name, env=self._cluster.environment | self.settings
        )

    def _times_ready(self) -> int:
        log = self._cluster.fork_client.log(self.host.name)
        return log.read_text(errors="replace").splitlines().count("ready") if log.exists() else 0


class Cluster(System):
    """Two webs behind nginx, workers, two schedulers, PgBouncer, two databases, two Redis, a receiver."""

    database: ReplicatedPostgresql  # type: ignore[assignment]

    def __init__(self, folder: Path, fork_client: ForkClient, network: Network) -> None:
        self.network = network
        names = ("proxy", "pooler", "receiver", "database1", "database2", "redis1", "redis2")
        self.by_name = {name: network.add(name) for name in names}
        databases = self.by_name["database1"], self.by_name["database2"]
        super().__init__(folder, fork_client, ReplicatedPostgresql(folder, databases, fork_client))  # type: ignore[arg-type]
        servers = self.by_name["redis1"], self.by_name["redis2"]
        watchers = (*servers, self.by_name["proxy"])
        self.sentinels = RedisWithSentinels(folder, servers, watchers, fork_client)
        self.receiver_url = f"http://{self.by_name['receiver'].address}:{_RECEIVER_PORT}"
        self.environ |= {"WEBHOOKS_ALLOWED_TARGETS": "198.18.0.0/15", "WEBHOOKS_TRUSTED_PROXIES": "1"}
        self.webs = self._processes("web", WEBS)
        self.workers = self._processes("worker", WORKERS)
        self.scheduler_hosts = self._processes("scheduler", SCHEDULERS)
        self.proxy = ReverseProxy(folder, self.by_name["proxy"], [web.host for web in self.webs], fork_client)
        self.base_url = self.proxy.url

    @contextmanager
    def running(self) -> Iterator["Cluster"]:
        """Run everything for the block."""
        with ExitStack() as exits:
            self.database.prepare()
            pooler = self.by_name["pooler"]
            self.pooler = PgBouncer(
                self.folder,
                self.database.primary.url,
                port=_POOLER_PORT,
                address=pooler.address,
                server_connections=_SERVER_CONNECTIONS,
                prefix=pooler.prefix,
            )
            exits.enter_context(self.pooler.running())
            self.database_url = self.pooler.url
            self.sentinels.start()
            self.app = self._make_app()
            exits.callback(self.disconnect)
            self._start_receiver()
            for process in self.processes:
                process.start()
            self.proxy.start()
            wait_for(self.is_healthy, 30, "a healthy platform")
            yield self

    @property
    def processes(self) -> list[Process]:
        """Return every process of the platform's own."""
        return [*self.webs, *self.workers, *self.scheduler_hosts]

    def ensure_running(self) -> None:
        """Mend every link and start whatever does not run."""
        for process in self.processes:
            process.host.mend()
            process.start()
        wait_for(self.is_healthy, 30, "a healthy platform")

    def reset(self) -> None:
        """Return to the usual set-up, with nothing left to be sent."""
        self.ensure_running()
        self.remove_endpoints()

    @property
    def _addresses(self) -> dict[str, str]:
        return super()._addresses | {
            "REDIS_URL": self.sentinels.url,
            "WEBHOOKS_BASE_URL": self.base_url,
            "PORT": str(_WEB_PORT),
        }

    def _processes(self, command: str, count: int) -> list[Process]:
        made = []
        for number in range(1, count + 1):
            process = Process(self, self.network.add(f"{command}{number}"), command)
            process.settings = {
                "WEBHOOKS_HOST": process.host.address,
                "WEBHOOKS_INSTANCE": str(self.folder / process.host.name),
            }
            made.append(process)
        return made

    def _start_receiver(self) -> None:
        host = self.by_name["receiver"]
        code = (
            "from faults import scripted_receiver as receiver;"
            f"receiver.ADDRESSES = ({host.address!r},);"
            f"receiver.main({_RECEIVER_PORT}, {str(self.receiver_journal)!r})"
        )
        self.fork_client.execute([*host.prefix, sys.executable, "-c", code], name="receiver")
