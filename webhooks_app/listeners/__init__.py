"""Listeners: endpoints whose deliveries a program fetches and reports on, such as `avra listen`.

No worker sends what is due at one: the program's requests claim, sign and record through the worker's code. A
listener whose program has not asked for a while ends.

Imports `accounts`, `core`, `db`, `endpoints`, `monitoring` and `worker`. Imported by `server`, `tasks` and
`web`.
"""
