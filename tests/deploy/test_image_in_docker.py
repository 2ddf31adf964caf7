"""The image as Docker builds and runs it, wherever its daemon answers and has the base image."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet

from tests.cli.test_run import PATIENCE_SECONDS
from tests.deploy.programs import DEPLOY
from tests.waiting import wait_for
from webhooks_app import config


def is_there(image: str) -> bool:
    command = ["docker", "image", "inspect", image]
    return shutil.which("docker") is not None and not subprocess.run(command, capture_output=True).returncode


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], cwd=config.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


@pytest.fixture
def image() -> Iterator[str]:
    name = f"avra-test-{uuid4().hex[:8]}"
    docker("build", "-f", "deploy/Dockerfile", "-t", name, ".")
    yield name
    docker("rmi", name)


@pytest.fixture
def container(image: str) -> Iterator[str]:
    """A web that has migrated a database of its own, confined as in the compose file."""
    settings = {
        "DATABASE_URL": "sqlite:////tmp/avra.db",
        "REDIS_URL": "unix:///tmp/no-redis",
        "SECRET_KEY": "s" * 40,
        "WEBHOOKS_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    }
    given = [f"--env={name}={value}" for name, value in settings.items()]
    confined = [
        "--network=none",
        "--read-only",
        "--tmpfs=/tmp",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
    ]
    script = ["--entrypoint=sh", image, "-c", "avra migrate && exec avra web"]
    name = docker("run", "--detach", *confined, *given, *script)
    yield name
    docker("rm", "--force", name)


BASE = re.findall(r"^ARG BASE=(.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)[0]

if is_there(BASE):

    @pytest.mark.long
    def test_its_web_becomes_healthy_and_ends_when_asked(container: str) -> None:
        def health() -> str:
            return docker("inspect", "--format={{.State.Health.Status}}", container)

        assert docker("exec", container, "id", "-u") == "10001"
        wait_for(lambda: health() != "starting", PATIENCE_SECONDS)
        assert health() == "healthy", docker("logs", container)
        docker("stop", "--time=60", container)
        assert docker("inspect", "--format={{.State.ExitCode}}", container) == "0", docker("logs", container)
