"""A real Redis from before the oldest that will do: what is said of it, whatever else is the matter."""

from pathlib import Path

import pytest

from tests.cli.test_redis_faults import CONFIG, environ_for, on_sqlite, running
from tests.redis_servers import fetch_old_program, redis_server
from webhooks_app.jobs import redis_check, redis_connections, redis_diagnosis


@pytest.fixture(scope="session")
def old_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetch_old_program(tmp_path_factory.mktemp("old"))


@on_sqlite
def test_an_old_redis_ends_each_start_with_one_line(
    database_url: str, old_program: Path, tmp_path: Path
) -> None:
    with redis_server(tmp_path / "redis", program=old_program) as (port, _):
        environ = environ_for(database_url, f"redis://127.0.0.1:{port}", tmp_path)
        for command in ("worker", "scheduler", "run"):
            with running(command, environ, tmp_path) as started:
                assert started.process.wait(120) == CONFIG
                assert started.lines == ["error: Redis is too old: 6.2 or newer is needed."]


LOG_IN = "Redis refuses the user name or password of REDIS_URL"


@pytest.mark.parametrize(
    ("options", "log_in", "text"),
    [
        (["--requirepass", "pw"], ":pw@", redis_diagnosis.TOO_OLD.text),
        (["--requirepass", "pw"], "app:pw@", redis_diagnosis.TOO_OLD.text),  # users came with 6.0
        (["--requirepass", "pw"], ":wrong@", LOG_IN),
        (["--requirepass", "pw"], "app:wrong@", LOG_IN),
        (["--requirepass", "pw"], "", LOG_IN),
        (["--maxmemory", "1"], "", redis_diagnosis.TOO_OLD.text),
        (["--cluster-enabled", "yes"], "", redis_diagnosis.CLUSTER.text),
    ],
)
def test_what_is_said_of_an_old_redis_is_true(
    old_program: Path, tmp_path: Path, options: list[str], log_in: str, text: str
) -> None:
    with (
        redis_server(tmp_path, *options, program=old_program) as (port, _),
        redis_connections.connect(f"redis://{log_in}127.0.0.1:{port}", timeout_seconds=30) as redis,
    ):
        assert redis_check.find_problem(redis) == redis_diagnosis.RedisProblem(text, is_setting=True)
