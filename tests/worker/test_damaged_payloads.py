"""How an attempt ends that a damaged payload keeps from being made."""

import pytest

from tests.monitoring.test_stored_formats import report
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db.engines import Databases
from webhooks_app.monitoring.own_report import WEB
from webhooks_app.monitoring.stored_formats import StoredFormat, StoredFormats
from webhooks_app.worker import damaged_payloads


@pytest.mark.parametrize(
    ("reads_format", "outcome"),
    [
        (StoredFormat.PLAIN, Outcome(OutcomeClass.PLATFORM, detail="The stored payload is damaged.")),
        (StoredFormat.PACKED_BODIES, Outcome(OutcomeClass.PAYLOAD)),
        (max(StoredFormat), Outcome(OutcomeClass.PAYLOAD)),
    ],
)
def test_it_ends_in_the_class_that_every_process_can_show(
    databases: Databases, reads_format: StoredFormat, outcome: Outcome
) -> None:
    report(databases.write, WEB, reads_format=reads_format)
    formats = StoredFormats(databases.read.connect_autocommit, answer_seconds=0)
    assert damaged_payloads.outcome(formats) == outcome
