"""What operators see: reports and counters of all processes, samples of the backlog, metrics, traces.

Each process writes its report into the database, and whoever is asked reads all of them
(docs/decisions/0019). The only importer of prometheus_client, which is loaded when metrics are asked for, and
of opentelemetry, which is loaded where traces are.

Imports `core` and `db`. Imported by `cli`, `deliveries`, `events`, `jobs`, `listeners`, `server`, `services`,
`web` and `worker`.
"""
