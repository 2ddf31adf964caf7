"""Prints the bill of materials (CycloneDX 1.6, JSON) of `deploy/requirements.txt` and what the web serves.

The licences are those that the packages name which are installed for the Python given as argument.
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
VENDORED = ROOT / "static" / "vendor"
# Whose scripts and styles are in the site of the documents, with their licences.
_SITE = {"furo": "MIT", "pygments": "BSD-2-Clause", "sphinx": "BSD-2-Clause"}
_PIN = re.compile(r"^([a-z][^\n\\]*==[^\n\\]*)", re.MULTILINE)
# A row of the table in static/vendor/README.md: package, version, licence, its file, our file, SHA-256.
_ROW = re.compile(
    r"^\| \[(?P<name>[^]]+)\]\([^)]*\) \| (?P<version>[^ ]+) \| (?P<licence>[^,]+),[^|]*\|[^|]*"
    r"\| `(?P<file>[^`]+)` \| `(?P<digest>[0-9a-f]{64})` \|$",
    re.MULTILINE,
)


def main() -> None:
    """Print the bill.

    Raises SystemExit where a vendored file is not the one that its table names, or no licence is to be had.
    """
    bill = python_packages()
    bill["metadata"]["component"]["version"] = platform_version()
    add_licences(bill["components"], installed_licences(sys.argv[1]))
    if all("licenses" not in each for each in bill["components"]):
        raise SystemExit(f"The packages, which name their licences, are not installed for {sys.argv[1]}.")
    bill["components"] += vendored_files() + parts_of_the_site()
    json.dump(bill, sys.stdout, indent=1)


def python_packages() -> dict[str, Any]:
    return _bill("requirements", "--pyproject", "pyproject.toml", "deploy/requirements.txt")


def installed_licences(python: str) -> dict[tuple[str, str], Any]:
    """Return the licences that each package names which is installed for that Python, by name and version."""
    installed = _bill("environment", python)["components"]
    return {_package(each): each["licenses"] for each in installed if each.get("licenses")}


def add_licences(components: list[dict[str, Any]], licences: dict[tuple[str, str], Any]) -> None:
    for each in components:
        if found := licences.get(_package(each)):
            each["licenses"] = found


def _package(component: dict[str, Any]) -> tuple[str, str]:
    return canonicalize_name(component["name"]), component["version"]


def _bill(kind: str, *arguments: str) -> dict[str, Any]:
    # To validate each takes ten seconds, for a part of what is printed.
    options = ("--sv", "1.6", "--of", "JSON", "--output-reproducible", "--short-PURLs", "--no-validate")
    command = [sys.executable, "-m", "cyclonedx_py", kind, *options, *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603
    bill: dict[str, Any] = json.loads(done.stdout)
    return bill


def platform_version() -> str:
    text = (ROOT / "webhooks_app" / "__init__.py").read_text(encoding="utf-8")
    [version] = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(version)


def parts_of_the_site() -> list[dict[str, Any]]:
    """Return the packages whose scripts and styles the site of the documents has, as this Python has them."""
    pins = [Requirement(each) for each in _PIN.findall((ROOT / "docs_site/tools.txt").read_text("utf-8"))]
    chosen = [each for each in pins if each.name in _SITE and (each.marker is None or each.marker.evaluate())]
    return [site_package(each.name, str(each.specifier).removeprefix("==")) for each in chosen]


def site_package(name: str, version: str) -> dict[str, Any]:
    url = f"pkg:pypi/{name}@{version}"
    licence = {"license": {"id": _SITE[name]}}
    part = {"type": "library", "bom-ref": f"site-{url}", "name": name, "version": version}
    return {**part, "purl": url, "licenses": [licence]}


def vendored_files() -> list[dict[str, Any]]:
    rows = list(_ROW.finditer((VENDORED / "README.md").read_text(encoding="utf-8")))
    return [component(**row.groupdict()) for row in rows]


def component(*, name: str, version: str, licence: str, file: str, digest: str) -> dict[str, Any]:
    if hashlib.sha256((VENDORED / file).read_bytes()).hexdigest() != digest:
        raise SystemExit(f"static/vendor/{file} is not the file that the table in its folder names.")
    url = f"pkg:npm/{name.replace('@', '%40')}@{version}"
    return {
        "type": "library",
        "bom-ref": url,
        "name": name,
        "version": version,
        "purl": url,
        "licenses": [{"license": {"id": licence}}],
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }


if __name__ == "__main__":
    main()
