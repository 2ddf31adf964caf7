"""A pool of connections in which nobody waits longer for one than until the deadline of the request."""

from sqlalchemy.pool import ConnectionPoolEntry, QueuePool
from sqlalchemy.util import queue

from webhooks_app.db import deadlines


class _Queue(queue.Queue[ConnectionPoolEntry]):
    def get(self, block: bool = True, timeout: float | None = None) -> ConnectionPoolEntry:
        return super().get(block, deadlines.shorten(timeout) if block else timeout)


class ConnectionPool(QueuePool):
    """SQLAlchemy's own, but for the deadline: its time-out is the same for all."""

    _queue_class = _Queue
    # Whether a connection was lost, so that all that are kept lead to the same server and are opened anew.
    has_lost_one = False
    # Without it, the log would be ours by the module's name, and so at our level.
    _sqla_logger_namespace = "sqlalchemy.pool.QueuePool"
