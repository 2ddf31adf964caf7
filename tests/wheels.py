"""Wheels as their users meet them: built by the backend that is installed, and installed on their own."""

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path

# Neither an index of packages nor a network is asked, also for what builds.
OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_NO_DEPS": "1",
    "PIP_NO_COMPILE": "1",
    "PIP_NO_BUILD_ISOLATION": "0",  # which is how pip spells it
    "PIP_QUIET": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PYTHONPATH": sysconfig.get_path("purelib"),
}
# What documents have in the place of a path.
_PLACEHOLDER = re.compile(r"/path/to/(?:checkout/clients/python|webhooks_app-….whl)")


def build(project: Path, folder: Path) -> Path:
    """Build the wheel of a project with the backend that a user's pip would fetch; return its path."""
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(project)]
    subprocess.run(pip, check=True, cwd=folder, timeout=300)
    [path] = folder.glob("*.whl")
    return path


def install(project: Path, folder: Path, *, by: Sequence[str], needs: Collection[str] | None = None) -> Path:
    """Install a wheel or a project as a document's commands do; return the folder of the programs.

    There are the packages of this environment that are named in `needs`, all of them without.
    """
    for command in by:
        script = _PLACEHOLDER.sub(str(project), command).replace("python3 ", f"{sys.executable} ")
        subprocess.run(["sh", "-ec", script], env=os.environ | OFFLINE, check=True, cwd=folder, timeout=300)
    [packages] = folder.glob("venv/lib/python*/site-packages")
    if needs is None:
        shared = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
        (packages / "shared.pth").write_text("\n".join(shared))
    for name in needs or ():
        specification = find_spec(name)
        assert specification is not None and specification.submodule_search_locations
        (packages / name).symlink_to(next(iter(specification.submodule_search_locations)))
    return folder / "venv" / "bin"
