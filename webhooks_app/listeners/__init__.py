"""Listeners: endpoints whose deliveries a program fetches and reports on, such as `avra listen`.

No worker sends what is due at one: requests of the program claim, sign and record through the worker's code,
until it has not asked for a while.

Imports `accounts`, `core`, `db`, `endpoints`, `monitoring` and `worker`. Imported by `server`, `tasks` and
`web`.
"""
