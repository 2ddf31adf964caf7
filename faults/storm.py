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
from faults.harness import Group, wait_for
from faults.system import Stack

FAILPOINTS = (
    *("accept.committing=0.006", "accept.committed=0.006"),
    *("worker.dequeued=0.02", "worker.claimed=0.02", "worker.answered=0.002", "worker.half_recorded=0.02"),
    *("worker.recording=0.02", "worker.recorded=0.02"),
)


# How often each kind of blow falls, of those that kill and of the others.
KILLING = {"worker": 46, "web": 26, "redis": 5, "scheduler": 5, "pool": 1}
OTHERS = {"FLUSHALL": 3, "redis hung": 2, "worker frozen": 2}
ON_SQLITE = {"database locked": 3}
KILLING_ON_POSTGRESQL = {"backend": 8, "postgresql": 1}
# A killed process is replaced within about a second.
REPLACED_SECONDS = 10.0


@dataclass(frozen=True)
class Blow:
    """`seed` decides all that its kind leaves open: which process, for how long."""

    kind: str
    pause_seconds: float
    seed: str

    def __str__(self) -> str:
        return f"{self.kind} {self.pause_seconds:.2f}"


def plan(seed: str, database: str, kills: int, *, pause_seconds: float = 0.12) -> list[Blow]:
    """Blows until so many of them kill, one after another, each with the pause behind it."""
    dice = random.Random(f"storm-{seed}")
    killing = KILLING | (KILLING_ON_POSTGRESQL if database == "postgresql" else {})
    weights = killing | OTHERS | (ON_SQLITE if database == "sqlite" else {})
    blows: list[Blow] = []
    while kills:
        [kind] = dice.choices(list(weights), list(weights.values()))
        pause = pause_seconds * dice.uniform(0.3, 1.7)
        blows.append(Blow(kind, pause, f"{seed}-{len(blows)}"))
        kills -= kind in killing
    return blows


@dataclass
class Storm:
    stack: Stack
    kills: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)

    def rage(self, blows: list[Blow], *, seconds: float) -> int:
        """Lets them fall, unless the time is over before; how many fell."""
        until = time.monotonic() + seconds
        for number, blow in enumerate(blows):
            if time.monotonic() > until:
                return number
            self._dice = random.Random(blow.seed)
            self._strike(blow.kind)
            time.sleep(blow.pause_seconds)
        return len(blows)

    def _strike(self, kind: str) -> None:
        database = self.stack.database
        acts: dict[str, Callable[[], None]] = {
            "worker": lambda: self._kill_child(self.stack.pool, "worker"),
            "web": lambda: self._kill_child(self.stack.web, "web"),
            "redis": self._kill_redis,
            "scheduler": self._kill_scheduler,
            "pool": self._kill_pool,
            "FLUSHALL": self._flush_redis,
            "redis hung": self._hang_redis,
            "worker frozen": self._freeze_worker,
            "backend": self._cut_connections,
        }
        if isinstance(database, Sqlite):
            acts["database locked"] = lambda: self._lock(database)
        if isinstance(database, Postgresql):
            acts["postgresql"] = lambda: self._restart(database)
        # Of a database that others use too, the server cannot be restarted.
        acts.get(kind, self._cut_connections)()

    @property
    def total(self) -> int:
        """Processes killed, by this hand and at failpoints."""
        return sum(self.summary().values())

    def summary(self) -> dict[str, int]:
        """The kills by kind, and the deaths by failpoint."""
        return dict(self.kills) | {f"at {place}": count for place, count in self.stack.deaths().items()}

    def _kill_child(self, group: Group, name: str) -> None:
        if name == "worker":
            self.stack.note_kill()
        while not group.signal_child(self._child(group), signal.SIGKILL):
            """It died of something else in between, and another takes its place."""
        self.kills[name] += 1
        if name == "worker":
            self.stack.note_kill()  # also what it claimed between the first look and its death

    def _child(self, group: Group) -> int:
        wait_for(group.children, REPLACED_SECONDS, "a process to strike")
        children = sorted(group.children())
        return self._dice.choice(children) if children else self._child(group)

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
        pid = self._child(self.stack.pool)
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
