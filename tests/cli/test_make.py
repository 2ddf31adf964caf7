"""`make run` in checkouts with names of every kind, where it cannot work, and what else `make` makes."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_run import Platform
from tests.docs_site.code_blocks import block
from tests.free_ports import free_port
from tests.waiting import wait_for
from webhooks_app import config

PARTS = ["webhooks_app", "templates", "static", "examples"]
# Make takes what is installed as it is: no test installs anything from the network.
INSTALLED = ("make", "-o", ".venv/run.stamp")


def checkout(folder: Path) -> Path:
    """A copy of what runs, with this environment in place of one of its own."""
    folder.mkdir(parents=True)
    for name in PARTS:
        shutil.copytree(config.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(config.ROOT / "Makefile", folder)
    (folder / "requirements.txt").touch()
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.mark.parametrize("is_linked", [False, True], ids=["itself", "through a link"])
def test_make_run_works_in_a_folder_with_an_odd_name(tmp_path: Path, is_linked: bool) -> None:
    folder = checkout(tmp_path / "-a b=c?#%20 ü'\"$x;&[]\\")
    if is_linked:
        (tmp_path / "link").symlink_to(folder)
        folder = tmp_path / "link"
    platform = Platform(folder / "instance", free_port(), command=INSTALLED, folder=folder)
    try:
        platform.start()
        answer = platform.curl(tmp_path)
        wait_for(lambda: platform.deliveries(answer["id"])[0][1] == "delivered")
        os.killpg(platform.process.pid, signal.SIGINT)  # as a terminal does
        platform.process.wait(180)
        assert "\nStopping …\n" in platform.text
        wait_for(lambda: platform.alive() == [])
    finally:
        platform.clean_up()


def test_the_command_of_a_checkout_works_in_any_folder_and_through_links(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "-a b=c?#%20 ü'\"$x;&[]\\")
    own = folder / ".venv"
    own.unlink()
    (own / "bin").mkdir(parents=True)
    (own / "python.stamp").touch()
    (own / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (own / "bin" / "python").chmod(0o755)
    subprocess.run(["make", "--silent", ".venv/bin/avra"], cwd=folder, check=True, timeout=180)
    shown = block("docs/shell.md", 'export PATH="$PWD/.venv/bin:$PATH"')
    version = subprocess.run(["sh", "-ec", shown], cwd=folder, capture_output=True, text=True, timeout=180)
    assert version.stdout.startswith("avra, version "), version.stderr
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "click.py").write_text("raise SystemExit('a file of the current folder was run')")
    (tmp_path / "avra").symlink_to(own / "bin" / "avra")
    for command in (own / "bin" / "avra", tmp_path / "avra"):
        done = subprocess.run([command, "--help"], cwd=elsewhere, capture_output=True, text=True, timeout=180)
        assert (done.returncode, done.stdout.startswith("Usage: avra")) == (0, True), done.stderr


def commands_of(target: str) -> str:
    """What `make` would run for a target in a checkout that has no environment yet."""
    command = ["make", "--dry-run", "--always-make", target]
    return subprocess.run(command, cwd=config.ROOT, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("target", ["client", "wheel", "docs", "lock"])
def test_what_builds_installs_only_what_builds_need(target: str) -> None:
    assert re.findall(r"--require-hashes -r (\S+)", commands_of(target)) == ["requirements-build.txt"]


@pytest.mark.parametrize(("target", "kept"), [("wheel", "avra_client"), ("client", "webhooks_app")])
def test_a_wheel_that_is_built_leaves_the_others(target: str, kept: str) -> None:
    [removed] = re.findall(r"^rm .*dist.*$", commands_of(target), re.MULTILINE)
    assert kept not in removed and removed.endswith("-*.whl")


def refusal(folder: Path) -> str:
    """The last line of what `make` says."""
    done = subprocess.run(
        ["make", "--no-print-directory", "run", f"PYTHON={sys.executable}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    [line] = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    return line


def test_a_folder_in_which_python_makes_no_environment_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "a:b"
    folder.mkdir()
    shutil.copy(config.ROOT / "Makefile", folder)
    (folder / "requirements.txt").touch()
    assert "a colon in its name" in refusal(folder)


def test_a_checkout_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(config.ROOT / "Makefile", folder)
    (folder / "requirements.txt").touch()
    if os.geteuid() == 0:  # whom no permission stops
        bind = ["mount", "--bind", str(folder), str(folder)]
        if sys.platform != "linux" or subprocess.run(bind, capture_output=True).returncode:
            pytest.skip("The right to mount a file system is missing; run this test as another user.")
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
    else:
        folder.chmod(0o500)
    try:
        assert "this folder cannot be written" in refusal(folder)
    finally:
        folder.chmod(0o700) if os.geteuid() else subprocess.run(["umount", "--lazy", str(folder)], check=True)
