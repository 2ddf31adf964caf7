"""A filter's rows as a file, read page by page."""

import csv
import json

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
