"""The Nu Html Checker (vnu), which judges HTML as the standard has it; one Java process for all files."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.snippets import projects

CHECK_SECONDS = 300
_FETCH = (
    *("npm", "install", "--silent", "--no-save", "--no-package-lock", "--ignore-scripts"),
    "vnu-jar@26.9.27",
)
# What is meant, and what vnu does not know; everything else that it finds, warnings too, is a failure.
MEANT = (
    "Attribute “hx-",  # what htmx reads
    "Property “vector-effect” doesn't exist",  # SVG 2, section 8.13; vnu knows CSS of HTML only
)


def find_problems(files: Sequence[Path]) -> Iterator[str]:
    """Yield whatever is wrong with HTML and CSS files, with the place and what stands there."""
    options = ("--format", "json", "--stdout", "--exit-zero-always", "--also-check-css")
    done = subprocess.run(
        ["java", "-jar", str(_jar()), *options, *map(str, files)],
        capture_output=True,
        text=True,
        timeout=CHECK_SECONDS,
        check=True,
    )
    for message in json.loads(done.stdout)["messages"]:
        if not any(words in message["message"] for words in MEANT):
            place = f"{message['url'].rpartition('/')[2]}:{message.get('lastLine', '?')}"
            yield f"{place}: {message['message']} {message.get('extract', '').strip()!r}"


def _jar() -> Path:
    projects.require({"java": "default-jre-headless", "npm": "npm"})
    folder = projects.CACHE / "vnu"
    with projects.cache("vnu"):
        folder.mkdir(exist_ok=True)
        projects.fetch(folder, _FETCH, ())
    return folder / "node_modules" / "vnu-jar" / "build" / "dist" / "vnu.jar"
