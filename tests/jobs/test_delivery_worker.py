"""The pool of delivery workers, in processes of its own."""

import subprocess
import sys
from pathlib import Path

from tests.cli.test_run import ROOT, environment

# A pool that is asked to stop just while it starts a worker, which is when a request is most easily missed.
ASKED_WHILE_STARTING = """
import os, signal
from webhooks_app import config
from webhooks_app.cli.processes import run_worker
from webhooks_app.jobs import delivery_worker, process

start = delivery_worker._SPAWN.Process.start

def start_and_be_asked(process):
    start(process)
    os.kill(os.getpid(), signal.SIGTERM)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as the supervisor and a shell's `&` leave it
    redis = process.wait_until_ready(config.read().redis_url)
    pool = delivery_worker.DeliveryWorkerPool(redis, count=3, run_worker=run_worker)
    pool.start_worker()
    pool._install_signal_handlers()
    delivery_worker._SPAWN.Process.start = start_and_be_asked
    pool.check_workers()
    print(pool.status.name, pool.number_of_active_workers)
    while not pool.all_workers_have_stopped():
        pass
    print("over")
"""


def test_a_stop_that_comes_while_a_worker_starts_reaches_that_worker(redis_url: str, tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(ASKED_WHILE_STARTING)
    result = subprocess.run(
        [sys.executable, str(script)],
        env=environment(tmp_path / "instance", 8000, REDIS_URL=redis_url, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
    )
    # The second worker was told to stop too; the third was not started any more.
    assert result.stdout.replace("ready", "").split() == ["STOPPED", "2", "over"], result.stderr
