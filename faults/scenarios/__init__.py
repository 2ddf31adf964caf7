"""The scenarios, a module for each part that fails; ALL holds them by name, in the order they run in."""

from faults.scenario_definition import Scenario
from faults.scenarios import (
    accept_faults,
    admin_actions,
    bulk_actions,
    connection_faults,
    database_faults,
    lost_hosts,
    outbox_faults,
    pooler_faults,
    receiver_faults,
    redis_faults,
    refusing_database,
    retention_faults,
    rolling_upgrade,
    scheduler_faults,
    storm,
    web_faults,
    worker_faults,
)

MODULES = (
    accept_faults,
    admin_actions,
    bulk_actions,
    redis_faults,
    scheduler_faults,
    database_faults,
    refusing_database,
    pooler_faults,
    lost_hosts,
    retention_faults,
    rolling_upgrade,
    receiver_faults,
    connection_faults,
    web_faults,
    outbox_faults,
    storm,
    worker_faults,
)
ALL: dict[str, Scenario] = {
    each.name: each for module in MODULES for each in vars(module).values() if isinstance(each, Scenario)
}
