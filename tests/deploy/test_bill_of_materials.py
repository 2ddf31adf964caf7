"""The bill of materials: valid, and complete."""

import json
import re
import subprocess
import sys
from importlib import metadata
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from tests.deploy.programs import run, tool
from webhooks_app import __version__
from webhooks_app.config import ROOT

VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(error and str(error))
"""


@pytest.fixture(scope="module")
def text() -> str:
    command = tool("python", ROOT / "deploy" / "bill_of_materials.py", sys.executable)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def bill(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_it_is_a_valid_bill(text: str) -> None:
    run(*tool("python", "-c", VALIDATE), input=text)


def test_it_names_each_package_that_a_deployment_installs(bill: dict[str, Any]) -> None:
    pins = re.findall(
        r"^([\w.-]+)(?:\[\w+\])?==([\w.]+)", (ROOT / "deploy/requirements.txt").read_text(), re.MULTILINE
    )
    named = {(component["name"], component["version"]) for component in bill["components"]}
    assert pins
    assert set(pins) <= named
    assert bill["metadata"]["component"]["version"] == __version__


def test_it_names_the_licence_of_all_that_is_installed_here(bill: dict[str, Any]) -> None:
    here = {(canonicalize_name(each.metadata["Name"]), each.version) for each in metadata.distributions()}
    without = {(each["name"], each["version"]) for each in bill["components"] if not each.get("licenses")}
    assert not without & here
    assert len(without) < len(bill["components"]) / 10


def test_it_names_each_vendored_file_with_its_digest(bill: dict[str, Any]) -> None:
    urls = {component.get("purl") for component in bill["components"]}
    files = [path for path in (ROOT / "static/vendor").iterdir() if path.suffix in {".js", ".css"}]
    assert len([url for url in urls if url and url.startswith("pkg:npm/")]) == len(files)
    assert "pkg:npm/htmx.org@4.0.1" in urls


def test_it_names_what_the_site_of_the_documents_is_made_of(bill: dict[str, Any]) -> None:
    pins = (ROOT / "docs_site" / "tools.txt").read_text()
    parts = {each["name"]: each for each in bill["components"] if each["bom-ref"].startswith("site-")}
    assert set(parts) == {"furo", "pygments", "sphinx"}
    assert all(f"\n{name}=={part['version']} " in pins for name, part in parts.items())
