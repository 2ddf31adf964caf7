"""Listeners: endpoints whose deliveries a program fetches and reports on, such as `avra listen`.

No worker sends what is due at one. A request of the program claims it as a worker would and gets it signed;
another one says what the program's own server answered. Both go through the worker's code. A listener whose
program has not asked for a while ends.

Imports `accounts`, `core`, `db`, `endpoints`, `monitoring` and `worker`. Imported by `server`, `tasks` and
`web`.
"""
