"""What we override in rq and rq-scheduler, and what that relies on, is as it was when it was written.

Neither library documents it as an interface. Where one of these tests fails after an upgrade: read what has
changed in the method, see whether `webhooks_app/jobs/` still does what its comments say, and then note the
new value here. `requirements.in` bounds both versions.
"""

import hashlib
import inspect

import pytest
from rq import Queue, SimpleWorker
from rq.job import Job
from rq_scheduler import Scheduler

from webhooks_app.jobs.delivery_worker import DeliveryWorker
from webhooks_app.jobs.scheduler import WakeUpScheduler
from webhooks_app.jobs.task_jobs import TaskJob, TaskQueue

LIBRARIES = {
    DeliveryWorker: SimpleWorker,
    WakeUpScheduler: Scheduler,
    TaskJob: Job,
    TaskQueue: Queue,
}

# What we override, as the library has it: parameters of methods, or values.
OVERRIDDEN: dict[type, dict[str, str]] = {
    SimpleWorker: {
        "max_connection_wait_time": "60.0",
        "dequeue_timeout": "property",
        "connection_timeout": "property",
        "queue_class": "<class 'rq.queue.Queue'>",
        "job_class": "<class 'rq.job.Job'>",
        "work": "burst logging_level date_format log_format max_jobs max_idle_time with_scheduler"
        " dequeue_strategy",
        "dequeue_job_and_maintain_ttl": "timeout max_idle_time",
        "request_stop": "signum frame",
        "request_force_stop": "signum frame",
        "heartbeat": "timeout pipeline",
        "teardown": "",
        "execute_job": "job queue",
        "set_state": "state pipeline",
        "run_maintenance_tasks": "",
        "register_birth": "",
        "check_for_suspension": "burst",
        "subscribe": "",
        "_set_ip_address": "connection",
    },
    Scheduler: {
        "enqueue_jobs": "",
        "enqueue_job": "job",
        "register_death": "",
        "remove_lock": "",
        "_install_signal_handlers": "",
    },
    Job: {"restore": "raw_data", "func": "property"},
    Queue: {"get_redis_server_version": ""},
}

# The sources that call our overrides or are called by them: the first digits of the SHA-256 of each.
REVIEWED: dict[type, dict[str, str]] = {
    SimpleWorker: {
        "work": "04b5cdf8e554",
        "dequeue_job_and_maintain_ttl": "2715cf34d9e3",
        "request_stop": "f934e7e7e6ee",
        "request_force_stop": "2d066de883f3",
        "heartbeat": "63b1089fd146",
        "teardown": "bfc2572817e5",
        "execute_job": "eae0f23110ae",
        "bootstrap": "7197ad79c7ff",
        "register_birth": "4690ab4f7b74",
        "register_death": "cb2b0be15021",
        "run_maintenance_tasks": "3d8a446b5354",
        "check_for_suspension": "e8095ae1fcf9",
        "subscribe": "3437c20bb267",
        "set_state": "bb8d4f1d93ff",
        "_set_ip_address": "939aa1ae57f1",
        "_set_connection": "38ebd371028a",
    },
    Scheduler: {
        "run": "5f8c20257b06",
        "enqueue_jobs": "662787c318e2",
        "enqueue_job": "956533651058",
        "register_death": "c2a7a3d23a43",
        "remove_lock": "ec1be900d00f",
        "_install_signal_handlers": "a6bbc1a03f8c",
        "schedule": "6c452cdc11fe",
        "_create_job": "d33a8df20f93",
        "enqueue_at": "f7a26e043edc",
    },
    Job: {
        "restore": "859daf950a3e",
        "refresh": "818b52b414f3",
        "perform": "c8f482e08e17",
        "_execute": "653df714a38f",
    },
    Queue: {"enqueue_call": "8c2a3e885c11", "_prepare_for_queue": "cd8e2a082123"},
}

classes = pytest.mark.parametrize("library", OVERRIDDEN, ids=lambda library: library.__name__)


def describe(library: type, name: str) -> str:
    member = inspect.getattr_static(library, name)
    if isinstance(member, property):
        return "property"
    if not callable(member) or isinstance(member, type):
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


def test_the_scheduler_keeps_its_jobs_and_its_lock_where_we_look_for_them() -> None:
    assert Scheduler.scheduled_jobs_key == "rq:scheduler:scheduled_jobs"
    assert Scheduler.scheduler_lock_key == "rq:scheduler_lock"
