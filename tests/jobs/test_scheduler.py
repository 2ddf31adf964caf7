"""The scheduler's process, from its first word on."""

import subprocess
import sys

import pytest
from redis import Redis
from rq_scheduler import Scheduler

_STOPPED_AT_ONCE = """
import os, signal, sys
from webhooks_app.jobs.scheduler import run_scheduler
run_scheduler(
    sys.argv[1], is_alone=False, when_ready=lambda: os.kill(os.getpid(), int(sys.argv[2]))
)
"""


@pytest.mark.parametrize("number", [2, 15], ids=["SIGINT", "SIGTERM"])
def test_a_scheduler_that_is_stopped_once_it_is_ready_ends_as_one_that_was_stopped(
    redis_url: str, number: int
) -> None:
    command = [sys.executable, "-c", _STOPPED_AT_ONCE, redis_url, str(number)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


_STOPPED_AS_IT_ENDS = """
import os, sys
from webhooks_app.jobs import process

class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=int(sys.argv[1])):
        kill(pid, number)

last = Last()  # which Python clears away as it ends
process.ignore_stop_signals_at_exit()
process.exit_on_stop_signals()
"""


@pytest.mark.parametrize("number", [2, 15], ids=["SIGINT", "SIGTERM"])
def test_a_request_to_stop_changes_nothing_of_how_a_process_has_ended(number: int) -> None:
    command = [sys.executable, "-c", _STOPPED_AS_IT_ENDS, str(number)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


_STOPPED_TWICE = """
import os, signal, sys
from rq_scheduler import Scheduler
from webhooks_app.jobs.scheduler import run_scheduler

enqueue, remove = Scheduler.enqueue_jobs, Scheduler.remove_lock

def stop(*_):
    os.kill(os.getpid(), signal.SIGTERM)

def stop_and_remove(scheduler):
    stop()
    remove(scheduler)

Scheduler.remove_lock = stop_and_remove
from webhooks_app.jobs.scheduler import WakeUpScheduler
WakeUpScheduler.enqueue_jobs = stop
run_scheduler(sys.argv[1], is_alone=False, when_ready=lambda: None)
"""


def test_a_second_request_to_stop_does_not_keep_the_first_from_leaving_the_lock(redis_url: str) -> None:
    command = [sys.executable, "-c", _STOPPED_TWICE, redis_url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    with Redis.from_url(redis_url) as redis:
        assert not redis.exists(Scheduler.scheduler_lock_key)
