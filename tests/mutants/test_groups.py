"""What `make mutants` changes: all that decides whether an event is accepted, sent, and by whom."""

from collections import Counter
from pathlib import Path

from mutants.groups import GROUPS, LEFT_OUT, ROOT

WANTED = (
    *("webhooks_app/worker/*.py", "webhooks_app/events/*.py", "webhooks_app/accounts/*token*.py"),
    *("webhooks_app/db/*inserts.py", "webhooks_app/db/event_values.py", "webhooks_app/db/delivery_queue.py"),
    *("webhooks_app/core/outcomes.py", "webhooks_app/core/encryption.py", "webhooks_app/core/rate_limit.py"),
    *("webhooks_app/endpoints/destinations.py", "webhooks_app/server/event_intake.py"),
    *("webhooks_app/web/api/authentication.py", "webhooks_app/web/api/event_input.py"),
)
GROUPED = [module for group in GROUPS for module in group.modules]


def test_every_module_of_the_core_is_mutated_or_left_out_for_a_reason() -> None:
    wanted = {path.relative_to(ROOT) for pattern in WANTED for path in ROOT.glob(pattern)}
    wanted = {path for path in wanted if path.name != "__init__.py"}
    assert wanted - {*GROUPED} == {*map(Path, LEFT_OUT)}
    assert all(reason.endswith(".") for reason in LEFT_OUT.values())


def test_a_module_is_mutated_once_with_tests_that_are_there() -> None:
    assert [module for module, count in Counter(GROUPED).items() if count > 1] == []
    named = [*GROUPED, *(Path(each) for group in GROUPS for each in group.tests)]
    assert [path for path in named if not (ROOT / path).exists()] == []
