"""What a worker's process puts together before it works."""

import gc
from typing import Any

import pytest
from flask import Flask

from webhooks_app import tasks
from webhooks_app.cli import worker_process
from webhooks_app.config import Settings
from webhooks_app.jobs.delivery_worker import DeliveryWorker


@pytest.mark.usefixtures("job_app", "signal_handlers", "logging_as_found")
def test_jobs_learn_that_their_process_is_asked_to_end(
    app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bool] = []

    def work(worker: DeliveryWorker, *_: Any, **__: Any) -> bool:
        answers.append(tasks.context().should_stop())
        worker._stop_requested = True
        answers.append(tasks.context().should_stop())
        return True

    monkeypatch.setattr(DeliveryWorker, "work", work)
    try:
        worker_process.run(settings)
    finally:
        gc.unfreeze()
    assert answers == [False, True]
