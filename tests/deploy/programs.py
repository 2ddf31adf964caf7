"""Programs that the deployment files are tried with."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import unavailable
from webhooks_app.config import ROOT

DEPLOY = ROOT / "deploy"


def find(name: str, package: str) -> str:
    """Return the path of a program: of this environment, or of the system's package that has it."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    return found or unavailable(name, f"it is in {package}.")


def run(*command: str | Path, **options: str) -> subprocess.CompletedProcess[str]:
    """Run a program that is to succeed, and return what it said."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=120,
        input=options.get("input"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
