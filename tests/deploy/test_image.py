"""The image: its Dockerfile passes the linter, and what its steps build runs, confined, without an engine."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.cli.test_run import PATIENCE_SECONDS
from tests.deploy.image_builder import Builder, Stage, mount, steps
from tests.deploy.programs import DEPLOY, run, tool
from tests.free_ports import free_port
from tests.small_disks import small_disk
from tests.waiting import wait_for
from webhooks_app import __version__, config

DOCKERFILE = DEPLOY / "Dockerfile"


def test_the_linter_finds_nothing() -> None:
    run(*tool("hadolint", DOCKERFILE))


def test_what_is_copied_is_sent_to_the_builder() -> None:
    sent = {
        line.removeprefix("!")
        for line in (config.ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        source
        for name, rest in steps(DOCKERFILE.read_text())
        if name == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert sent == copied


def test_what_a_deployment_fills_in_is_neither_sent_to_the_builder_nor_committed() -> None:
    sent_last = (config.ROOT / ".dockerignore").read_text().splitlines()[::-1]
    assert sent_last.index("deploy/*.env") < sent_last.index("!deploy") > sent_last.index("deploy/.env")
    assert {"deploy/avra.env", "deploy/.env"} <= set((config.ROOT / ".gitignore").read_text().split())


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The image, with its root read-only and a /tmp of its own."""
    folder = tmp_path_factory.mktemp("image")
    with small_disk(folder, megabytes=1500), ExitStack() as mounts:
        stage = Builder(config.ROOT, folder, mounts).build(DOCKERFILE.read_text())
        subprocess.run(["mount", "-o", "remount,ro", str(stage.root)], check=True)
        mount(mounts, stage.root / "tmp", "-t", "tmpfs", "-o", "mode=1777", "tmpfs")
        stage.environment |= {
            "DATABASE_URL": "sqlite:////tmp/avra.db",
            "REDIS_URL": "unix:///tmp/no-redis",
            "SECRET_KEY": "s" * 40,
            "WEBHOOKS_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "PORT": str(free_port()),
        }
        yield stage


@pytest.mark.long
def test_the_image_serves_as_a_user_without_rights_on_a_root_that_is_read_only(image: Stage) -> None:
    assert image.run("avra", "--version").stdout.strip().endswith(__version__)
    site = "import webhooks_app.config as c; assert (c.ROOT / 'site' / 'index.html').is_file()"
    assert image.run("python3", "-c", site).returncode == 0
    assert image.run("id", "-u").stdout.strip() == "10001"
    assert image.run("touch", "/srv/avra/x").returncode != 0
    assert (image.root / "dev").stat().st_dev != Path("/dev").stat().st_dev, "it could be deleted through it"
    assert image.run("python3", "-c", "import webhooks_app, pip").returncode != 0
    migrated = image.run(*image.entry, "migrate")
    assert migrated.returncode == 0, migrated.stderr

    unhealthy = image.run(*image.health)  # nothing answers yet
    assert (unhealthy.returncode, unhealthy.stdout) == (1, "")
    assert unhealthy.stderr.startswith("no answer from the web: ") and unhealthy.stderr.count("\n") == 1
    web = subprocess.Popen(
        image.arguments(*image.entry, *image.command),
        env=image.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(lambda: image.run(*image.health).returncode == 0 or web.poll() is not None, PATIENCE_SECONDS)
        assert web.poll() is None, web.communicate()[0]
        web.terminate()
        output = web.communicate(timeout=PATIENCE_SECONDS)[0]
    finally:
        web.kill()
    assert web.returncode == 0, output
    assert "Read-only file system" not in output
