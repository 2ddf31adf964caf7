"""The metrics of `/metrics`: what each is called, what it means, which labels it has. Pure.

docs/operations.md explains each of them, and a test compares.
"""

from typing import NamedTuple

PREFIX = "avra_"


class Metric(NamedTuple):
    """What stands behind a metric's name, which here is without prefix and suffix."""

    meaning: str
    labels: tuple[str, ...] = ()


# Counted by each process (`counters.ProcessCounters`), summed over all that ever ran; `_total` is added.
COUNTERS = {
    "events": Metric(
        "Events that were accepted, or known before under their idempotency key", ("type", "status")
    ),
    "events_refused": Metric("Requests with events that were refused, by the error's code", ("code",)),
    "deliveries_created": Metric("Deliveries created for accepted events"),
    "attempts": Metric("Recorded attempts, by outcome", ("outcome",)),
    "delivery_results": Metric(
        "Recorded attempts, by the state in which they left their delivery; pending means a retry", ("state",)
    ),
    "unavailable": Metric("Requests that were answered 503, by cause", ("cause",)),
}
# The same, of durations; `_seconds` is added.
HISTOGRAMS = {
    "accept_duration": Metric("From an event's arrival to its commit"),
    "first_attempt_delay": Metric("From accept to the start of the first attempt"),
    "attempt_duration": Metric("Of attempts, from their start to their end"),
}
# Read when asked; those with the label `process` by what each process last reported.
GAUGES = {
    "database_up": Metric("1 if the database answered the process that serves these metrics"),
    "build_info": Metric("Always 1; the version of the process that serves these metrics", ("version",)),
    "processes": Metric("Processes that report", ("kind",)),
    "processes_lost": Metric(
        "Processes that stopped reporting without an end, and were not replaced", ("kind",)
    ),
    "heartbeat_age_seconds": Metric("Since a process reported last", ("kind", "process")),
    "clock_ahead_seconds": Metric("How far a host's clock is ahead of the database's", ("kind", "process")),
    "redis_failing": Metric("1 if Redis failed a process when it last needed it", ("kind", "process")),
    "pool_connections": Metric(
        "Connections to the database that a process has open", ("kind", "process", "state")
    ),
    "worker_in_flight": Metric("Requests that a worker has under way", ("process",)),
    "worker_capacity": Metric("Requests that a worker may have under way", ("process",)),
    "worker_silent_seconds": Metric("Since a worker's main loop last ran", ("process",)),
    "endpoint_in_flight": Metric("Requests under way at the endpoints that have most", ("endpoint",)),
    "endpoint_due": Metric("Due deliveries of the endpoints that have most", ("endpoint",)),
    "pending_deliveries": Metric("Deliveries that are due now or later"),
    "due_deliveries": Metric("Deliveries that are due now"),
    "held_deliveries": Metric("Deliveries that wait for their endpoint to be enabled"),
    "oldest_due_age_seconds": Metric("How long the oldest due delivery has been due"),
    "backlog_growth_per_minute": Metric("How many more deliveries are due each minute, over the last ten"),
    "backlog_sample_age_seconds": Metric("How old the figures are of what is pending, due and held"),
    "recoveries_running": Metric("Recoveries that are being worked on"),
    "fan_outs_pending": Metric("Accepted batches whose deliveries are still being inserted"),
    "sweep_age_seconds": Metric("Since the sweep ran last"),
    "problem": Metric("1 for each problem that /healthz reports now", ("code", "severity")),
}
