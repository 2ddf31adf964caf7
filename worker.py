"""The delivery workers: `WEBHOOKS_WORKERS` RQ workers in one supervised pool."""

from webhooks_app.monitoring import tracing

if __name__ == "__main__":
    tracing.leave_out()

    from webhooks_app.cli import processes

    processes.run_workers()
