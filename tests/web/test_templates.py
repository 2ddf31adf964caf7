"""What can be read off the templates, scripts and styles themselves."""

from pathlib import Path

import pytest

from webhooks_app import config

TEMPLATES = sorted(path for path in (config.ROOT / "templates").rglob("*") if path.is_file())
SCRIPTS = sorted((config.ROOT / "static" / "js").glob("*.js"))
STYLES = sorted((config.ROOT / "static" / "css").glob("*.css"))
# An editor beside a browser shows that much; what is longer hides its end.
LONGEST_LINE = 160


def place(path: Path) -> str:
    return str(path.relative_to(config.ROOT))


@pytest.mark.parametrize("path", [*TEMPLATES, *SCRIPTS, *STYLES], ids=place)
def test_no_line_is_longer_than_an_editor_is_wide(path: Path) -> None:
    lines = enumerate(path.read_text().splitlines(), start=1)
    assert [f"line {number}: {len(line)}" for number, line in lines if len(line) > LONGEST_LINE] == []
