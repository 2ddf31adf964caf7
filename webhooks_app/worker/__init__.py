"""The delivery engine: claim, sign, send, record, until nothing is due.

`engine` gives their turns to `claimer`, `dispatcher` (which sends) and `outcome_buffer` (which records); a
`claimed_delivery` passes through all three.

Imports `accounts`, `core`, `db`, `endpoints`, `jobs`, `monitoring` and `transport`. Imported by `deliveries`,
`events`, `listeners` and `tasks`.
"""
