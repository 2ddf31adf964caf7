"""The scheduler, in the process that the shell started."""

from webhooks_app.cli.reporting import reports_of_scheduler
from webhooks_app.config import Settings
from webhooks_app.jobs.process import announce_ready
from webhooks_app.jobs.scheduler import SchedulerState, run_scheduler


def run(settings: Settings) -> None:
    """Schedule until asked to end, and report of it meanwhile. Raises NoRedis."""
    state = SchedulerState()
    with reports_of_scheduler(settings, state.describe):
        run_scheduler(
            settings.redis_url, is_alone=settings.embedded_redis, when_ready=announce_ready, state=state
        )
