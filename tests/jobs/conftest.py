"""What the tests of RQ's workers share."""

import pytest

from webhooks_app.jobs.process import StopFlag


@pytest.fixture
def handlers(signal_handlers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts back what a worker replaces that runs in this process: signal handlers, the stop flag."""
    monkeypatch.setattr(StopFlag, "requested", StopFlag.requested)
