"""What several packages share: pure rules, and the little that asks the clock, a mail server or the instance.

Imports no other. Imported by `__main__`, `accounts`, `app`, `cli`, `config`, `db`, `deliveries`, `endpoints`,
`events`, `extensions`, `jobs`, `listeners`, `monitoring`, `server`, `services`, `tasks`, `transport`, `web`
and `worker`.
"""
