"""The delivery workers: `WEBHOOKS_WORKERS` RQ workers in one supervised pool."""

from webhooks_app.cli import processes

if __name__ == "__main__":
    processes.run_workers()
