"""A disk that takes no writes is known before the database needs room on it."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from webhooks_app.db.engines import Databases
from webhooks_app.db.transient_errors import Cause
from webhooks_app.monitoring import write_probe
from webhooks_app.monitoring.own_report import REPORTS

only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@contextmanager
def files_limited(size_bytes: int) -> Iterator[None]:
    """Let this process write no more than that into a file: its disk fails for everything above."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_database_that_takes_writes_keeps_nothing_of_the_one_that_is_tried(
    databases: Databases, tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    assert write_probe.try_to_write(databases.write) is None
    with databases.read.connect() as connection:
        assert connection.execute(select(REPORTS)).first() is None
    assert [each for each in sorted(tmp_path.iterdir()) if each not in before] == []


@only_sqlite
@pytest.mark.skipif(sys.platform == "win32", reason="no limit of that kind")
def test_a_disk_that_refuses_what_the_memory_would_hold_is_known(databases: Databases) -> None:
    assert write_probe.try_to_write(databases.write) is None  # connects, which writes as well
    with files_limited(1024):
        assert write_probe.try_to_write(databases.write) is Cause.IO_ERROR
