"""The delivery log, replays, cancellations, recoveries, retention, erasure, and grants for signed requests.

Imports `accounts`, `core`, `db`, `events`, `jobs`, `monitoring` and `worker`. Imported by `app`,
`cli`, `extensions`, `tasks` and `web`.
"""
