"""A seed decides every action of a storm before it begins."""

import pytest

from faults import storm_actions
from faults.storm_actions import DISTURBANCES, DISTURBANCES_ON_SQLITE


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_seed_decides_every_action_before_the_storm(database: str) -> None:
    planned = storm_actions.plan("7", database, 50)
    assert planned == storm_actions.plan("7", database, 50)
    assert planned != storm_actions.plan("8", database, 50)
    assert planned[:20] == storm_actions.plan("7", database, 500)[:20]
    others = {*DISTURBANCES, *DISTURBANCES_ON_SQLITE}
    assert sum(action.kind not in others for action in planned) == 50
