"""Wheels as their users meet them: built by the backend that is installed, and installed on their own."""

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path


def build(project: Path, folder: Path) -> Path:
    """Build the wheel of a project with the backend that a user's pip would fetch; return its path."""
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(project)]
    subprocess.run(pip, check=True, cwd=folder, timeout=300)
    [path] = folder.glob("*.whl")
    return path


def install(wheel: Path, folder: Path, *, needs: Collection[str] | None = None) -> Path:
    """Install a wheel into an environment; return the folder of its programs.

    It has the packages of this one that are named in `needs`, all of them without.
    """
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    options = ["--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check"]
    subprocess.run([*pip, *options, str(wheel)], check=True, cwd=folder, timeout=300)
    [packages] = folder.glob("lib/python*/site-packages")
    if needs is None:
        shared = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
        (packages / "shared.pth").write_text("\n".join(shared))
    for name in needs or ():
        specification = find_spec(name)
        assert specification is not None and specification.submodule_search_locations
        (packages / name).symlink_to(next(iter(specification.submodule_search_locations)))
    return folder / "bin"
