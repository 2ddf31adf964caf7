"""A filter's rows as a file, read page by page."""

import csv
import json
import re

import pytest

from tests.conftest import Workspace
from tests.deliveries.conftest import newest_ids
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases
from webhooks_app.deliveries.log.export import ExportLimits, as_csv, as_json
from webhooks_app.deliveries.log.filters import LogFilter

LIMITS = ExportLimits(page_rows=7)


def test_pages_of_an_export_follow_each_other_without_a_gap(
    workspace: Workspace, databases: Databases
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(31)
    now = clock.now()

    lines = list(as_csv(databases.read, workspace.id, LogFilter(), now=now, limits=LIMITS))
    listed = "".join(as_json(databases.read, workspace.id, LogFilter(), now=now, limits=LIMITS))

    assert [row["id"] for row in csv.DictReader(lines)] == newest_ids(workspace)
    assert [row["id"] for row in json.loads(listed)] == newest_ids(workspace)


HOSTILE = [
    *(
        "=1+1",
        "+1",
        "-1",
        "@x",
        "|calc",
        "%0",
        "＝1",
        "＠x",
        "\t=1",
        "\r=1",
        " =1",
        '"=1',
        ' "=1"',
        "\u200b=1",
    ),
    *(
        "a;=HYPERLINK(1)",
        "a,=1",
        "a\t=1",
        "a\r=1",
        "a\n=1",
        "a; =1",
        'a;"=1"',
        "a;;=1",
        'a",=1',
        "a;＝1",
        "a,|calc",
    ),
    *("\u200b=1", "a,|calc", "a;\ufeff@x", "a;\u00a0-1", "a,\t=1"),
]
FORMULA = re.compile(r"[\s\u200b\ufeff]*[=+\-@|%＝＋－＠]")


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_is_a_formula_wherever_the_reader_cuts(
    workspace: Workspace, databases: Databases, name: str, delimiter: str
) -> None:
    workspace.endpoint("https://a.example.com/", name=name)
    workspace.send()

    text = "".join(as_csv(databases.read, workspace.id, LogFilter(), now=clock.now()))

    cut = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    cut_without_quotes = re.split(rf"[\r\n{delimiter}]", text)
    cells = [cell for row in cut for cell in row] + [cell.replace('"', "") for cell in cut_without_quotes]
    assert [cell for cell in cells if FORMULA.match(cell)] == []


@pytest.mark.parametrize("name", ["Orders", "a-b", "a, b; c", "x=1", "50%", "a@example.com", "'quoted'"])
def test_what_is_no_formula_stays_as_it_is(workspace: Workspace, databases: Databases, name: str) -> None:
    workspace.endpoint("https://a.example.com/?x=1", name=name)
    workspace.send()

    [row] = csv.DictReader(as_csv(databases.read, workspace.id, LogFilter(), now=clock.now()))

    assert row["endpoint_name"] == name
