"""The storm: seeded kills of everything, several a second, while producers send and receivers misbehave."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg
from redis.exceptions import RedisError

from faults.databases import Postgresql, Sqlite
from faults.harness import Group
from faults.stack import Stack

FAILPOINTS = (
    *("accept.committing=0.006", "accept.committed=0.006"),
    *("worker.claimed=0.02", "worker.answered=0.002", "worker.half_recorded=0.02"),
    *("worker.recording=0.02", "worker.recorded=0.02"),
)


@dataclass
class Storm:
    stack: Stack
    seed: str
    pause_seconds: float = 0.12
    kills: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._dice = random.Random(f"storm-{self.seed}")

    def rage(self, kills: int, *, seconds: float) -> None:
        """Until so many processes were killed, by this hand or at a failpoint, or the time is over."""
        until = time.monotonic() + seconds
        blows, weights = zip(*self._blows(), strict=True)
        while self.total < kills and time.monotonic() < until:
            [blow] = self._dice.choices(blows, weights)
            blow()
            time.sleep(self.pause_seconds * self._dice.uniform(0.3, 1.7))

    @property
    def total(self) -> int:
        """Processes killed, by this hand and at failpoints."""
        return sum(self.summary().values())

    def summary(self) -> dict[str, int]:
        """The kills by kind, and the deaths by failpoint."""
        return dict(self.kills) | {f"at {place}": count for place, count in self.stack.deaths().items()}

    def _blows(self) -> list[tuple[Callable[[], None], float]]:
        blows: list[tuple[Callable[[], None], float]] = [
            (lambda: self._kill_child(self.stack.pool, "worker"), 46),
            (lambda: self._kill_child(self.stack.web, "web"), 26),
            (self._kill_redis, 5),
            (self._flush_redis, 3),
            (self._hang_redis, 2),
            (self._kill_scheduler, 5),
            (self._kill_pool, 1),
            (self._freeze_worker, 2),
        ]
        database = self.stack.database
        if isinstance(database, Sqlite):
            return [*blows, (lambda: self._lock(database), 3)]
        blows.append((self._cut_connections, 8))
        if isinstance(database, Postgresql):
            blows.append((lambda: self._restart(database), 1))
        return blows

    def _kill_child(self, group: Group, name: str) -> None:
        children = group.children()
        if not children:
            return
        if name == "worker":
            self.stack.note_kill()
        victim = self._dice.choice(sorted(children))
        if group.signal_child(victim, signal.SIGKILL):
            self.kills[name] += 1
        if name == "worker":
            self.stack.note_kill()  # also what it claimed between the first look and its death

    def _kill_pool(self) -> None:
        """The pool's parent alone: its workers have to notice that they are orphans."""
        self.stack.note_kill()
        self.stack.nursery.signal(self.stack.pool.pid, signal.SIGKILL)
        self.stack.nursery.wait(self.stack.pool.pid, 5)
        self.kills["pool"] += 1
        self.stack.pool.start()

    def _kill_scheduler(self) -> None:
        [scheduler, *_] = self.stack.schedulers
        scheduler.kill()
        self.kills["scheduler"] += 1
        scheduler.start()

    def _kill_redis(self) -> None:
        self.stack.redis.kill(forget=self._dice.random() < 0.5)
        self.kills["redis"] += 1
        time.sleep(self._dice.choice((0, 0.1, 0.5)))
        self.stack.redis.start()

    def _flush_redis(self) -> None:
        with suppress(RedisError), self.stack.redis.client() as client:
            client.flushall()
            self.others["FLUSHALL"] += 1

    def _hang_redis(self) -> None:
        self.stack.redis.signal(signal.SIGSTOP)
        time.sleep(self._dice.uniform(0.2, 0.8))
        self.stack.redis.signal(signal.SIGCONT)
        self.others["redis hung"] += 1

    def _freeze_worker(self) -> None:
        """Past the lease, so that another worker takes over what this one holds."""
        children = self.stack.pool.children()
        if not children:
            return
        pid = self._dice.choice(sorted(children))
        self.stack.note_kill()
        self.stack.pool.signal_child(pid, signal.SIGSTOP)
        self.stack.note_kill()
        time.sleep(2.5)
        self.stack.pool.signal_child(pid, signal.SIGCONT)
        self.others["worker frozen"] += 1

    def _lock(self, database: Sqlite) -> None:
        with database.locked():
            time.sleep(self._dice.uniform(0.1, 0.8))
        self.others["database locked"] += 1

    def _cut_connections(self) -> None:
        self.stack.note_kill()
        with suppress(psycopg.Error):
            self.kills["backend"] += self.stack.database.cut_connections(self._dice.randint(1, 3))

    def _restart(self, database: Postgresql) -> None:
        self.stack.note_kill()
        how = self._dice.choice((signal.SIGINT, signal.SIGQUIT))
        database.stop(how)
        if how is signal.SIGQUIT:
            self.stack.note_database_crash()
        self.kills["postgresql"] += 1
        time.sleep(self._dice.choice((0, 0.3)))
        database.start()
