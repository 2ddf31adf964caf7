"""The shell's commands, and the processes that they start.

Imports `accounts`, `app`, `client`, `config`, `core`, `db`, `deliveries`, `endpoints`, `events`,
`extensions`, `jobs`, `monitoring`, `server`, `services`, `tasks`, `transport` and `web`. Imported by
`__main__`.
"""
