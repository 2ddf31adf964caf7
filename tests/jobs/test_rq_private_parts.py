"""What we override in rq and rq-scheduler, and what that relies on, is as it was when it was written.

Neither library documents it as an interface. Where one of these tests fails after an upgrade: read what has
changed in the method, see whether `webhooks_app/jobs/` still does what its comments say, and then note the
new value here. `requirements.in` bounds both versions.
"""

import hashlib
import inspect
import signal
from collections.abc import Iterator

import pytest
from redis import Redis
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.worker import WorkerStatus
from rq.worker_pool import WorkerData, WorkerPool
from rq_scheduler import Scheduler

from webhooks_app.jobs.delivery_worker import DeliveryWorker, DeliveryWorkerPool
from webhooks_app.jobs.scheduler import WakeUpScheduler

LIBRARIES = {DeliveryWorker: SimpleWorker, DeliveryWorkerPool: WorkerPool, WakeUpScheduler: Scheduler}

# What we override, as the library has it: parameters of methods, or values.
OVERRIDDEN: dict[type, dict[str, str]] = {
    SimpleWorker: {
        "max_connection_wait_time": "60.0",
        "dequeue_timeout": "property",
        "work": "burst logging_level date_format log_format max_jobs max_idle_time with_scheduler"
        " dequeue_strategy",
        "dequeue_job_and_maintain_ttl": "timeout max_idle_time",
        "request_stop": "signum frame",
        "request_force_stop": "signum frame",
        "heartbeat": "timeout pipeline",
        "teardown": "",
    },
    WorkerPool: {
        "get_worker_process": "name burst _sleep logging_level",
        "start_worker": "count burst _sleep logging_level",
        "stop_worker": "worker_data sig",
        "handle_dead_worker": "worker_data",
    },
    Scheduler: {
        "enqueue_jobs": "",
        "enqueue_job": "job",
        "register_death": "",
        "remove_lock": "",
        "_install_signal_handlers": "",
    },
}

# The sources that call our overrides or are called by them: the first digits of the SHA-256 of each.
REVIEWED: dict[type, dict[str, str]] = {
    SimpleWorker: {
        "work": "04b5cdf8e554",
        "dequeue_job_and_maintain_ttl": "2715cf34d9e3",
        "request_stop": "f934e7e7e6ee",
        "_shutdown": "828be105b616",
        "request_force_stop": "2d066de883f3",
        "heartbeat": "63b1089fd146",
        "teardown": "bfc2572817e5",
        "execute_job": "eae0f23110ae",
    },
    WorkerPool: {
        "start": "3f4a0809f1c7",
        "start_workers": "8bd610e9f9fb",
        "start_worker": "1f2d8debc7da",
        "request_stop": "0b933f9e532d",
        "stop_workers": "c664a9af1679",
        "stop_worker": "e973ef9c6b5d",
        "check_workers": "15f8dac4748b",
        "reap_workers": "807b0ecb49d3",
        "handle_dead_worker": "2479f856bde1",
        "all_workers_have_stopped": "b46c6def34ee",
    },
    Scheduler: {
        "run": "5f8c20257b06",
        "enqueue_jobs": "662787c318e2",
        "enqueue_job": "956533651058",
        "register_death": "c2a7a3d23a43",
        "remove_lock": "ec1be900d00f",
        "_install_signal_handlers": "a6bbc1a03f8c",
    },
}

classes = pytest.mark.parametrize("library", OVERRIDDEN, ids=lambda library: library.__name__)


def describe(library: type, name: str) -> str:
    member = inspect.getattr_static(library, name)
    if isinstance(member, property):
        return "property"
    if not callable(member):
        return repr(member)
    _, *names = inspect.signature(member).parameters
    return " ".join(names)


def digest(library: type, name: str) -> str:
    source = inspect.getsource(inspect.getattr_static(library, name))
    return hashlib.sha256(source.encode()).hexdigest()[:12]


@classes
def test_what_we_override_is_there_and_takes_what_it_took(library: type) -> None:
    assert {name: describe(library, name) for name in OVERRIDDEN[library]} == OVERRIDDEN[library]


@classes
def test_what_surrounds_our_overrides_is_what_was_reviewed(library: type) -> None:
    assert {name: digest(library, name) for name in REVIEWED[library]} == REVIEWED[library]


@pytest.mark.parametrize("ours", LIBRARIES, ids=lambda ours: ours.__name__)
def test_every_override_is_listed(ours: type) -> None:
    library = LIBRARIES[ours]
    inherited = {name for name in vars(ours) if name in dir(library) and not name.startswith("__")}
    assert inherited <= OVERRIDDEN[library].keys()


@pytest.fixture
def handlers() -> Iterator[None]:
    """Puts back the signal handlers that a worker replaces when it is asked to stop."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_worker_notes_a_request_to_stop_where_we_look_for_it(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        worker = SimpleWorker(["any"], connection=redis)
        worker.register_birth()  # type: ignore[no-untyped-call]
        worker.set_state(WorkerStatus.BUSY)
        assert worker._stop_requested is False
        worker.request_stop(signal.SIGTERM, None)  # type: ignore[no-untyped-call]
        assert worker._stop_requested is True
        worker.set_state(WorkerStatus.IDLE)
        assert worker.get_state() == WorkerStatus.IDLE
        with pytest.raises(StopRequested):
            worker.request_stop(signal.SIGTERM, None)


def test_a_pool_has_the_state_that_we_look_at(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        pool = WorkerPool(["any"], connection=redis)
        assert pool.status == pool.Status.IDLE
        assert pool.worker_dict == {}
        pool.request_stop()  # type: ignore[no-untyped-call]
        assert pool.status == pool.Status.STOPPED
    assert WorkerData._fields == ("name", "pid", "process")


def test_the_scheduler_keeps_its_jobs_and_its_lock_where_we_look_for_them() -> None:
    assert Scheduler.scheduled_jobs_key == "rq:scheduler:scheduled_jobs"
    assert Scheduler.scheduler_lock_key == "rq:scheduler_lock"
