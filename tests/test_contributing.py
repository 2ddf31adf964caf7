"""CONTRIBUTING.md draws the packages as they are, and no document names a file that is gone."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.test_packages import LAYERS, PACKAGE, ROOT, STANDALONE

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
# What is past, in the changelog and the decision records, has the names of its time.
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", CONTRIBUTING, re.MULTILINE | re.DOTALL))


def packages_that_exist() -> set[str]:
    """The folders and modules right in `webhooks_app`, but `__init__`."""
    found = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/*.py")
    }
    return found - {"__init__"}


def test_the_drawing_shows_the_layers_from_the_top_to_the_bottom() -> None:
    [drawing] = re.findall(r"^```text\n(.*?)^```$", SECTIONS["Packages"], re.MULTILINE | re.DOTALL)
    assert [tuple(line.split()) for line in drawing.splitlines()] == list(reversed(LAYERS))


def test_the_table_says_of_each_package_what_lives_in_it() -> None:
    listed = re.findall(r"^\| `(\w+)` \| \S", SECTIONS["Packages"], re.MULTILINE)
    assert listed == [name for names in reversed(LAYERS) for name in names] + [STANDALONE]
    assert set(listed) == packages_that_exist()


def test_every_folder_beside_the_package_is_described() -> None:
    listed = re.findall(r"^\| `(\w+)/` \| \S", SECTIONS["Packages"], re.MULTILINE)
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    folders = {name.split("/")[0] for name in tracked if "/" in name and not name.startswith(".")}
    assert sorted(listed) == sorted(folders - {PACKAGE.name})


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_documents_name_files_that_exist(document: Path) -> None:
    paths = re.findall(r"`([\w/]+\.(?:py|toml|html|txt))`", document.read_text())
    assert [path for path in paths if not ((ROOT / path).exists() or (PACKAGE / path).exists())] == []


def test_each_decision_has_a_number_of_its_own_which_its_title_says() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    numbers = [int(path.name[:4]) for path in records]
    assert numbers == list(range(1, len(records) + 1))
    assert [int(path.read_text().split(". ")[0].removeprefix("# ")) for path in records] == numbers


def test_no_word_is_explained_twice() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", SECTIONS["Words"], re.MULTILINE)
    words = [word for row in rows for word in row.split(", ")]
    assert len(words) > 20
    assert len(words) == len(set(words))
