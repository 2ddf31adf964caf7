"""What is the matter with a Redis is said in one true sentence, for each way in which it can be unfit."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.free_ports import free_port
from tests.reading import captured
from tests.redis_servers import (
    client,
    is_primary,
    listener,
    redis_server,
    sentinel,
    tls_in_front_of,
)
from tests.waiting import wait_for
from webhooks_app import config
from webhooks_app.jobs import redis_check, redis_connections
from webhooks_app.jobs.redis_check import COMMANDS, find_problem
from webhooks_app.jobs.redis_diagnosis import RedisProblem


def problem_of(url: str, timeout_seconds: float = 30) -> RedisProblem | None:
    with redis_connections.connect(url, timeout_seconds=timeout_seconds) as redis:
        return find_problem(redis)


def told(url: str, timeout_seconds: float = 30) -> tuple[str, bool]:
    """What is said of a Redis that has a problem, and whether only a setting mends it."""
    problem = problem_of(url, timeout_seconds)
    assert problem is not None
    return problem.text, problem.is_setting


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with redis_server(tmp_path) as (port, _):
        yield port


def test_a_redis_that_is_fit_has_no_problem_and_keeps_nothing_of_the_check(redis_url: str) -> None:
    assert problem_of(redis_url) is None
    with Redis.from_url(redis_url) as redis:
        assert redis.keys("*") == []


def test_a_check_is_one_round_trip(port: int) -> None:
    with client(port) as redis:
        redis.ping()
        before = redis.info("stats")["total_commands_processed"]
        find_problem(redis)
        sent = redis.info("stats")["total_commands_processed"] - before
    assert sent == len(redis_check._commands("x")) + 1


def test_the_check_tries_each_command_that_is_listed() -> None:
    tried = {name.lower() for name, *_ in redis_check._commands("x")}
    assert tried - {"info"} == COMMANDS


def test_the_documented_commands_are_those_that_are_tried() -> None:
    guide = (config.ROOT / "docs" / "production.md").read_text()
    rule = captured(r"ACL SETUSER avra (.*?)```", guide, re.DOTALL)
    assert set(re.findall(r"\+(\w+)", rule)) == COMMANDS | {"info"}


def test_a_replica_refuses_writes(port: int, tmp_path: Path) -> None:
    with redis_server(tmp_path / "replica", "--replicaof", "127.0.0.1", str(port)) as (replica, _):
        with client(replica) as redis:
            wait_for(lambda: redis.info("replication")["master_link_status"] == "up")
        assert told(f"redis://127.0.0.1:{replica}/0") == (
            "Redis refuses writes: it is a read-only replica",
            False,
        )


def test_a_full_redis_refuses_writes(port: int) -> None:
    with client(port) as redis:
        redis.config_set("maxmemory-policy", "noeviction")
        redis.config_set("maxmemory", "1")
        assert told(f"redis://127.0.0.1:{port}") == ("Redis refuses writes: its memory is full", False)
        redis.config_set("maxmemory", "0")
        assert problem_of(f"redis://127.0.0.1:{port}") is None


def test_a_redis_that_cannot_save_refuses_writes(tmp_path: Path) -> None:
    with redis_server(tmp_path) as (port, _), client(port) as redis:
        redis.config_set("save", "3600 1")
        (tmp_path / "temp").mkdir()
        redis.config_set("dir", str(tmp_path / "temp"))
        (tmp_path / "temp").rmdir()
        redis.set("any", 1)
        redis.execute_command("BGSAVE")
        wait_for(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err")
        assert told(f"redis://127.0.0.1:{port}") == (
            "Redis refuses writes: it cannot save to its disk",
            False,
        )


def test_too_few_replicas_refuse_writes(port: int) -> None:
    with client(port) as redis:
        redis.config_set("min-replicas-to-write", "1")
    assert told(f"redis://127.0.0.1:{port}") == (
        "Redis refuses writes: too few of its replicas are up",
        False,
    )


@pytest.mark.parametrize("has_slots", [False, True])
def test_a_cluster_is_not_supported(tmp_path: Path, has_slots: bool) -> None:
    with redis_server(tmp_path, "--cluster-enabled", "yes") as (port, _):
        if has_slots:
            with client(port) as redis:
                redis.execute_command("CLUSTER ADDSLOTS", *range(16384))
                wait_for(lambda: redis.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        for database in (0, 3):
            text, is_setting = told(f"redis://127.0.0.1:{port}/{database}")
            assert text.startswith("Redis runs in cluster mode, which is not supported")
            assert is_setting


@pytest.mark.parametrize("log_in", ["", ":wrong@", "nobody:secret@", "default:wrong@"])
def test_a_wrong_password_is_called_that(tmp_path: Path, log_in: str) -> None:
    with redis_server(tmp_path, "--requirepass", "secret") as (port, _):
        assert told(f"redis://{log_in}127.0.0.1:{port}") == (
            "Redis refuses the user name or password of REDIS_URL",
            True,
        )
        assert problem_of(f"redis://:secret@127.0.0.1:{port}") is None


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_that_the_user_may_not_send_is_named(port: int, command: str) -> None:
    with client(port) as redis:
        rights = ["+@all", f"-{command}"]
        redis.acl_setuser("app", enabled=True, passwords=["+pw"], keys=["*"], commands=rights)
    text, is_setting = told(f"redis://app:pw@127.0.0.1:{port}")
    assert text == (
        f"The user of REDIS_URL may not send {command.upper()};"
        " docs/production.md lists the commands that are needed"
    )
    assert is_setting


def test_keys_that_the_user_may_not_touch_are_named(port: int) -> None:
    with client(port) as redis:
        redis.acl_setuser("app", enabled=True, passwords=["+pw"], keys=["other:*"], commands=["+@all"])
    text, is_setting = told(f"redis://app:pw@127.0.0.1:{port}")
    assert text.startswith("The user of REDIS_URL may not use keys that begin with rq: and webhooks:")
    assert is_setting


@pytest.mark.parametrize("new_name", ["", "GETDEL_OF_OPERATIONS"])
def test_a_command_that_a_new_redis_lacks_is_called_renamed(tmp_path: Path, new_name: str) -> None:
    options = *("--rename-command", "GETDEL", new_name), *("--rename-command", "EXPIRE", "")
    with redis_server(tmp_path, *options) as (port, _):
        text, is_setting = told(f"redis://127.0.0.1:{port}")
    assert text.startswith("Redis does not know GETDEL, EXPIRE, which its configuration renames or disables")
    assert is_setting


def test_what_speaks_the_second_protocol_only_is_enough(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--rename-command", "HELLO", "", "--requirepass", "secret") as (port, _):
        assert problem_of(f"redis://:secret@127.0.0.1:{port}") is None


def test_a_command_that_is_lacking_where_the_version_is_hidden_may_have_either_cause(tmp_path: Path) -> None:
    options = *("--rename-command", "GETDEL", ""), *("--rename-command", "INFO", "")
    with redis_server(tmp_path, *options) as (port, _):
        text, is_setting = told(f"redis://127.0.0.1:{port}")
    assert "it is older than 6.2, or its configuration renames or disables it" in text
    assert is_setting


@pytest.mark.parametrize(
    ("version", "is_too_old"),
    [
        ("6.0.16", True),
        ("5.0.14", True),
        ("6.2.0", False),
        ("7.4.1", False),
        ("8.0", False),
        ("255.255.255", False),
    ],
)
def test_the_version_tells_the_age(version: str, is_too_old: bool) -> None:
    assert redis_check._is_too_old(version) is is_too_old


def test_a_database_out_of_range_is_called_that(port: int) -> None:
    assert told(f"redis://127.0.0.1:{port}/99") == (
        "Redis has no database of the number in REDIS_URL",
        True,
    )


def test_a_port_where_nothing_listens() -> None:
    text, is_setting = told(f"redis://127.0.0.1:{free_port()}")
    assert (text, is_setting) == ("Redis cannot be reached: Connection refused", False)


def test_a_socket_that_is_not_there() -> None:
    text, is_setting = told("unix:///nowhere/redis.sock")
    assert (text, is_setting) == ("Redis cannot be reached: No such file or directory", False)


def test_a_host_that_has_no_address() -> None:
    text, is_setting = told("redis://redis.invalid")
    assert text.startswith("Redis cannot be reached: ")
    assert not is_setting


def test_a_redis_that_hangs_does_not_answer(tmp_path: Path) -> None:
    with redis_server(tmp_path) as (port, process):
        os.kill(process.pid, signal.SIGSTOP)
        assert told(f"redis://127.0.0.1:{port}", timeout_seconds=0.25) == ("Redis does not answer", False)
        os.kill(process.pid, signal.SIGCONT)


def test_something_else_that_answers_is_no_redis() -> None:
    def answer(connection: socket.socket) -> None:
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with listener(answer) as port:
        assert told(f"redis://127.0.0.1:{port}") == ("What answers at REDIS_URL is not a Redis", True)


def test_a_certificate_of_an_unknown_ca_is_not_trusted(port: int, tmp_path: Path) -> None:
    with tls_in_front_of(port, tmp_path) as (tls_port, certificate):
        text, is_setting = told(f"rediss://127.0.0.1:{tls_port}")
        assert text.startswith("The certificate of Redis is not trusted: self-signed certificate")
        assert "ssl_ca_certs" in text
        assert is_setting
        assert problem_of(f"rediss://127.0.0.1:{tls_port}?ssl_ca_certs={certificate}") is None
        assert "not valid for" in told(f"rediss://localhost:{tls_port}?ssl_ca_certs={certificate}")[0]


def wait_for_mismatch(url: str) -> RedisProblem:
    """Return what is said of TLS, for which one who stands still for a second has no answer in time."""
    found: list[RedisProblem] = []

    def is_found() -> bool:
        problem = problem_of(url, timeout_seconds=1)
        if problem is not None and "TLS" in problem.text:
            found.append(problem)
        return bool(found)

    wait_for(is_found)
    return found[0]


def test_tls_where_there_is_none_is_called_that(port: int) -> None:
    problem = wait_for_mismatch(f"rediss://127.0.0.1:{port}")
    assert problem.text.startswith("What answers at REDIS_URL does not speak TLS")
    assert problem.is_setting


def test_no_tls_where_there_is_some_is_called_that(port: int, tmp_path: Path) -> None:
    with tls_in_front_of(port, tmp_path) as (tls_port, _):
        problem = wait_for_mismatch(f"redis://127.0.0.1:{tls_port}")
    assert problem.text == "What answers at REDIS_URL speaks TLS: write rediss:// instead of redis://"
    assert problem.is_setting


def test_a_redis_that_is_named_as_a_sentinel_is_called_none(port: int) -> None:
    text, is_setting = told(f"redis+sentinel://127.0.0.1:{port}/main/0")
    assert text.startswith("What answers as a Sentinel of REDIS_URL is none")
    assert is_setting


def test_a_sentinel_that_is_named_as_a_redis_is_called_that(port: int, tmp_path: Path) -> None:
    with sentinel(tmp_path / "sentinel", primary_port=port) as sentinel_port:
        text, is_setting = told(f"redis://127.0.0.1:{sentinel_port}")
    assert text.startswith("What answers at REDIS_URL is a Sentinel and no Redis")
    assert is_setting


def test_sentinels_that_are_away_are_not_said_to_know_nothing() -> None:
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{free_port()}/main/0"
    assert told(url) == ("No Sentinel of REDIS_URL can be reached", False)


def test_sentinels_lead_to_the_primary_and_to_the_next_one(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first, process = stack.enter_context(redis_server(tmp_path / "one"))
        second, _ = stack.enter_context(
            redis_server(
                tmp_path / "two", "--replicaof", "127.0.0.1", str(first), "--repl-diskless-sync-delay", "0"
            )
        )
        with client(second) as redis:
            wait_for(lambda: redis.info("replication")["master_link_status"] == "up")
        ports = [stack.enter_context(sentinel(tmp_path / "sentinel", primary_port=first)) for _ in range(3)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        for port in ports:
            with client(port) as watcher:
                wait_for(lambda: watcher.sentinel_master("main")["num-other-sentinels"] == 2)
                wait_for(lambda: watcher.sentinel_master("main")["num-slaves"] == 1)
        url = f"redis+sentinel://{hosts}/main/0"
        connection = stack.enter_context(redis_connections.connect(url, timeout_seconds=1))
        wait_for(lambda: find_problem(connection) is None)  # a busy one may have been given up before
        assert told(f"redis+sentinel://{hosts}/other/0") == (
            "No Sentinel of REDIS_URL knows a primary of that name that is up",
            False,
        )

        process.kill()
        wait_for(lambda: is_primary(second), 60)
        wait_for(lambda: find_problem(connection) is None, 60)
        wait_for(lambda: _is_set(connection))
        with client(second) as redis:
            assert redis.get("webhooks:any") == b"1"


def _is_set(connection: Redis) -> bool:
    with suppress(RedisError):
        return bool(connection.set("webhooks:any", 1))
    return False
