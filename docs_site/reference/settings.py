"""The page of the settings, made of the README's table, which a test holds to the code."""

import re

from docs_site.navigation import ROOT

_HEAD = """# Settings

Made of the table in the [README](../../README.md#settings) by `make reference`; a test holds
that table to the code."""


def write() -> str:
    readme = (ROOT / "README.md").read_text()
    section = re.search(r"^## Settings\n(.*?)(?=^## )", readme, re.MULTILINE | re.DOTALL)
    assert section
    moved = re.sub(r"\]\(docs/", "](../", section[1].strip())
    return f"{_HEAD}\n\n{moved}\n"
