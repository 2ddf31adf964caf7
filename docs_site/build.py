"""Builds the site: stages its Markdown, has Sphinx make HTML of it, and puts the Markdown beside that."""

import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

from docs_site import accessible_markup, inline_code, navigation, staging, twins

CONFIGURATION = Path(__file__).parent


def build(output: Path) -> None:
    """Build the site into a folder, in place of what was there. A warning of Sphinx's ends the process."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "source"), Path(folder, "site")
        staging.stage(source)
        markdown = Path(folder, "markdown")
        shutil.copytree(source, markdown)
        for place, more in _tables_of_contents().items():
            (source / f"{place}.md").write_text((source / f"{place}.md").read_text() + "\n" + more)
        _run_sphinx(source, made)
        inline_code.move_out(made)
        accessible_markup.mend(made)
        twins.write(markdown, made)
        _add_licences(made)
        shutil.rmtree(output, ignore_errors=True)
        shutil.move(made, output)


def _add_licences(site: Path) -> None:
    """Put the licences of what the site's scripts and styles are made of beside them."""
    for name in ("furo", "sphinx", "sphinx-basic-ng", "pygments"):
        files = distribution(name).files or []
        texts = [path.read_text() for path in files if path.name.upper().startswith(("LICENSE", "LICENCE"))]
        if texts:
            (site / "_static" / f"{name}.LICENSE.txt").write_text("\n".join(texts))


def _tables_of_contents() -> dict[str, str]:
    """Return the navigation, which Sphinx takes from pages: what each of them gets at its end, by its place.

    The pages of a folder that has an index are below that; all others below the first page.
    """
    tables = {"index": ""}
    for section in navigation.SECTIONS:
        places = [navigation.place(source) for source in navigation.sources(section)]
        parents = {place: place.removesuffix("index") for place in places if place.endswith("/index")}
        for parent, folder in parents.items():
            tables[parent] = _table(
                [each for each in places if each.startswith(folder) and each != parent], folder
            )
        below = tuple(parents.values())
        own = [each for each in places if each in parents or not (below and each.startswith(below))]
        tables["index"] += _table(own, caption=section.title) + "\n"
    return tables


def _table(places: list[str], folder: str = "", *, caption: str = "") -> str:
    lines = "\n".join(each.removeprefix(folder) for each in places)
    options = ":hidden:\n" + (f":caption: {caption}\n" if caption else "")
    return f"```{{toctree}}\n{options}\n{lines}\n```\n"


def _run_sphinx(source: Path, output: Path) -> None:
    options = ["--quiet", "--fail-on-warning", "--keep-going", "--fresh-env", "-b", "html"]
    doctrees = ["-d", str(output.parent / "doctrees"), "-c", str(CONFIGURATION)]
    command = [sys.executable, "-m", "sphinx", *options, *doctrees, str(source), str(output)]
    if subprocess.run(command, check=False).returncode:  # noqa: S603
        sys.exit("error: the site was not built; the lines above say why")
    for left in (".buildinfo", "objects.inv"):  # of use to Sphinx alone
        (output / left).unlink(missing_ok=True)
    shutil.rmtree(output / "_sources", ignore_errors=True)
