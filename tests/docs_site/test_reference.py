"""What documents say that the code knows is what the code says."""

from pathlib import Path

import click
import pytest

from docs_site.navigation import ROOT
from docs_site.reference import failures, retries, verification, written
from webhooks_app.cli.main import main
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.events import catalog
from webhooks_app.web import snippets


@pytest.fixture(scope="module")
def pages() -> dict[Path, str]:
    return written.all_pages()


def test_the_made_pages_are_up_to_date(pages: dict[Path, str]) -> None:
    stale = [str(path.relative_to(ROOT)) for path, text in pages.items() if path.read_text() != text]
    assert stale == [], "run: make reference"


def test_no_page_is_left_of_an_event_type_that_is_gone() -> None:
    names = {path.stem for path in (ROOT / "docs" / "events").glob("*.md")}
    assert names == {"README", *catalog.load().names}


def test_every_failure_class_has_its_row() -> None:
    text = failures.write()
    assert [kind for kind in OutcomeClass if f"| `{kind}` |" not in text] == []


def test_answers_say_what_the_worker_does() -> None:
    rows = {
        row.split(" | ")[0].strip("| "): row.split(" | ")[-1].strip(" |")
        for row in failures.answers().split("\n")
    }
    assert rows["200 to 299"] == "done"
    assert rows["410"] == "not tried again; the endpoint is disabled"
    assert rows["503"] == rows["429"] == "tried again, not before its `Retry-After`"
    assert rows["any other 500 to 599"] == rows["any other 400 to 499"] == rows["Timed out"] == "tried again"


def test_the_schedule_ends_after_three_days() -> None:
    lines = retries.schedule().split("\n")
    assert lines[2] == "| 1 | at once | – | Mon 09:00:00 |"
    assert lines[11] == "| 10 | 1 d | 3 d 3 h | Thu 12:35:05 |"


def test_every_command_has_its_help(pages: dict[Path, str]) -> None:
    text = pages[ROOT / "docs" / "reference" / "shell.md"]
    commands = main.list_commands(click.Context(main))
    assert [name for name in commands if f"\n## avra {name}\n" not in text] == []


def test_every_snippet_of_the_verify_tab_is_shown_with_what_it_was_tested_with() -> None:
    text = verification.write()
    shown = [
        snippet
        for language in snippets.LANGUAGES.values()
        for framework in language.frameworks
        for snippet in framework.snippets
    ]
    assert text.count("<details>") == len(shown) > 30
    said = {each: f"Tested with {', '.join(each.tested)}." for each in shown if each.tested}
    assert [each for each, sentence in said.items() if sentence not in text] == []


def test_a_part_is_made_anew_and_what_is_around_it_stays() -> None:
    page = "<!-- made: schedule -->\n<!-- end -->\n\nBetween\n\n<!-- made: limits -->\nold\n<!-- end -->\n"
    filled = written.fill_in(page)
    assert "\n\nBetween\n\n" in filled
    assert "Mon 09:00:00" in filled and "old" not in filled
    assert written.fill_in(filled) == filled
