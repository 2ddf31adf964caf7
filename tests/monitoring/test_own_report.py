"""What a process writes of itself, and that it is what others read: see also test_reports."""

from sqlalchemy import inspect

from webhooks_app.db.models import ProcessReport
from webhooks_app.monitoring import own_report


def test_a_report_has_the_columns_of_its_table() -> None:
    read = {column.name: type(column.type) for column in inspect(ProcessReport).columns}
    written = {column.name: type(column.type) for column in own_report.REPORTS.columns}
    assert written.keys() == read.keys()
    # Those whose values the driver would not take as they are.
    converted = {name for name in read if read[name].__name__ in ("JSON", "UtcDateTime")}
    assert {name: written[name] for name in converted} == {name: read[name] for name in converted}
