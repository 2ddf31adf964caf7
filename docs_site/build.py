"""Builds the site: stages its Markdown, has Sphinx make HTML of it, and puts the Markdown beside that."""

import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

from docs_site import inline_code, pages, staging, twins

CONFIGURATION = Path(__file__).parent


def build(output: Path) -> None:
    """Build the site into a folder, in place of what was there. A warning of Sphinx's ends the process."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "source"), Path(folder, "site")
        staging.stage(source)
        markdown = Path(folder, "markdown")
        shutil.copytree(source, markdown)
        (source / "index.md").write_text((source / "index.md").read_text() + "\n" + _table_of_contents())
        _run_sphinx(source, made)
        inline_code.move_out(made)
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


def _table_of_contents() -> str:
    """Return the navigation, which Sphinx takes from a page."""
    parts = []
    for section in pages.SECTIONS:
        lines = "\n".join(pages.place(source) for source in pages.sources(section))
        parts.append(f"```{{toctree}}\n:hidden:\n:caption: {section.title}\n\n{lines}\n```\n")
    return "\n".join(parts)


def _run_sphinx(source: Path, output: Path) -> None:
    options = ["--quiet", "--fail-on-warning", "--keep-going", "--fresh-env", "-b", "html"]
    doctrees = ["-d", str(output.parent / "doctrees"), "-c", str(CONFIGURATION)]
    command = [sys.executable, "-m", "sphinx", *options, *doctrees, str(source), str(output)]
    if subprocess.run(command, check=False).returncode:  # noqa: S603
        sys.exit("error: the site was not built; the lines above say why")
    for left in (".buildinfo", "objects.inv"):  # of use to Sphinx alone
        (output / left).unlink(missing_ok=True)
    shutil.rmtree(output / "_sources", ignore_errors=True)
