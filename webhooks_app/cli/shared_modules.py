"""What web, worker and scheduler load: once for all, in a process that they are forked from.

Nothing of it starts a thread or opens a connection when it is loaded; a test holds that.
"""

from webhooks_app.cli import scheduler_process as scheduler_process
from webhooks_app.cli import web as web
from webhooks_app.cli import worker_process
from webhooks_app.jobs.process import gc_freeze


def load(database_url: str) -> None:
    """Load the database's driver and libcurl as well, and keep the garbage collector off all of it."""
    worker_process.load_libraries(database_url)
    gc_freeze()
