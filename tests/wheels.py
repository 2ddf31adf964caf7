"""Wheels as their users meet them: built by the backend that is installed, and installed on their own."""

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Sequence
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

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
_EXTRAS = re.compile(r"\[([a-z,]+)\]")
# What documents have in the place of a path.
_PLACEHOLDER = re.compile(r"/path/to/(?:checkout/clients/python|webhooks_app-….whl)")


def build(project: Path, folder: Path) -> Path:
    """Build the wheel of a project with the backend that a user's pip would fetch; return its path."""
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(project)]
    subprocess.run(pip, check=True, cwd=folder, timeout=300)
    [path] = folder.glob("*.whl")
    return path


def install(project: Path, folder: Path, *, by: Sequence[str]) -> Path:
    """Install a wheel or a project as a document's commands do; return the folder of the programs.

    What it requires, and nothing else, is taken from this environment, as pip would fetch it.
    """
    for command in by:
        script = _PLACEHOLDER.sub(str(project), command).replace("python3 ", f"{sys.executable} ")
        subprocess.run(["sh", "-ec", script], env=os.environ | OFFLINE, check=True, cwd=folder, timeout=300)
    [packages] = folder.glob("venv/lib/python*/site-packages")
    extras = {name for names in _EXTRAS.findall(" ".join(by)) for name in names.split(",")}
    [installed] = [each for each in distributions(path=[str(packages)]) if each.read_text("direct_url.json")]
    for each in _required(installed, extras, {}).values():
        _link(each, packages)
    return folder / "venv" / "bin"


def _required(
    whole: Distribution, extras: Collection[str], found: dict[str, Distribution]
) -> dict[str, Distribution]:
    """Return the distributions, by name, that this one needs with the extras, and those that these need."""
    for requirement in map(Requirement, whole.requires or []):
        applies = not requirement.marker or any(
            requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)
        )
        if applies and requirement.name not in found:
            found[requirement.name] = distribution(requirement.name)
            _required(found[requirement.name], requirement.extras, found)
    return found


def _link(whole: Distribution, packages: Path) -> None:
    """Have a distribution of this environment in another one's folder of packages, too."""
    tops = {path.parts[0] for path in whole.files or []} - {"..", "__pycache__"}
    for name in tops:
        link = packages / name
        if not link.exists():  # some share a namespace; and setuptools may be there already
            link.symlink_to(Path(str(whole.locate_file(name))))
