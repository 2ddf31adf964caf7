"""The event catalog, accepting events within their tokens' allowances, their fan-out, and test events.

Imports `accounts`, `core`, `db`, `endpoints`, `jobs`, `monitoring` and `worker`. Imported by `app`, `cli`,
`deliveries`, `extensions`, `server`, `services`, `tasks` and `web`.
"""
