"""The delivery workers: `WEBHOOKS_WORKERS` RQ workers in one supervised pool."""

from webhooks_app.core import interrupts

if __name__ == "__main__":
    interrupts.use_default_sigint()
    from webhooks_app.cli import processes

    processes.run_workers()
