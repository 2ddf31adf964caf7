"""Fit the clients that may be connected into the files that a process may open."""

import pytest

from webhooks_app.server.server_limits import DEFAULT_LIMITS, fit_open_files


@pytest.mark.parametrize("threads", [1, 8, 256])
@pytest.mark.parametrize("open_files", [64, 256, 1024, 2048])
def test_connections_leave_the_files_that_the_rest_needs(threads: int, open_files: int) -> None:
    connections = fit_open_files(threads, open_files).connections
    assert connections <= max(16, open_files - 64 - 2 * threads)
    assert connections >= 16


def test_with_enough_open_files_nothing_is_lowered() -> None:
    assert fit_open_files(256, 4096) == DEFAULT_LIMITS
