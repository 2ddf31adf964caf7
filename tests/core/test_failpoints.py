"""Failpoints kill by seed where they are armed, and cost next to nothing where they are not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from webhooks_app.core import failpoints


def test_a_seed_decides_at_which_pass_of_which_process_a_failpoint_kills(tmp_path: Path) -> None:
    def passes(run: str) -> list[int]:
        """How often each of three processes reaches the failpoint until it dies."""
        folder = tmp_path / run
        folder.mkdir()
        env = {"FAILPOINTS": "worker.here=0.1", "FAILPOINT_SEED": "7", "FAILPOINT_COUNTS": str(folder)}
        return [_passes(env) for _ in range(3)]

    first = passes("first")
    assert first == passes("second")
    assert len(set(first)) > 1, "the processes of a kind have random numbers of their own"


def _passes(env: dict[str, str]) -> int:
    ran = _run("while 1: print(1, flush=True); failpoints.hit('worker.here')", env)
    assert ran.returncode == -signal.SIGKILL
    return len(ran.stdout.split())


def _run(script: str, env: dict[str, str]) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-c", f"from webhooks_app.core import failpoints\n{script}"],
        env=dict(os.environ) | env,
        capture_output=True,
        timeout=300,
        check=False,
    )


class UnreadableBody(bytes):
    """Fails where a failpoint searches it."""

    def __contains__(self, part: object) -> bool:
        raise AssertionError("the body was searched")


def test_no_body_is_searched_unless_the_poison_is_armed() -> None:
    failpoints.hit_if_poisoned(UnreadableBody(failpoints.POISON))


def test_an_armed_poison_kills_whoever_sends_it() -> None:
    body, poisoned = b'{"data":{}}', b'{"data":{"poison":true}}'
    script = (
        f"failpoints.hit_if_poisoned({body!r}); print('alive', flush=True)\n"
        f"failpoints.hit_if_poisoned({poisoned!r}); print('not reached', flush=True)"
    )
    ran = _run(script, {"FAILPOINTS": "worker.poisoned=1"})
    assert (ran.returncode, ran.stdout) == (-signal.SIGKILL, b"alive\n")


def test_without_failpoints_in_the_environment_nothing_dies() -> None:
    script = (
        f"failpoints.hit('worker.claimed'); failpoints.hit_if_poisoned({failpoints.POISON!r}); print('alive')"
    )
    ran = _run(script, {})
    assert (ran.returncode, ran.stdout) == (0, b"alive\n")


def test_who_is_told_before_the_kill_is_told_the_events() -> None:
    script = (
        "failpoints.before_kill = lambda name, events: print(name, *events, flush=True)\n"
        "failpoints.hit('accept.committing', ['evt_1', 'evt_2'])"
    )
    ran = _run(script, {"FAILPOINTS": "accept.committing=1"})
    assert (ran.returncode, ran.stdout) == (-signal.SIGKILL, b"accept.committing evt_1 evt_2\n")


class CountedName(str):
    """Counts how often it is looked up."""

    look_ups = 0

    def __hash__(self) -> int:
        CountedName.look_ups += 1
        return super().__hash__()


def test_an_unarmed_failpoint_costs_one_look_up() -> None:
    failpoints.hit(CountedName("worker.claimed"))
    assert CountedName.look_ups == 1
