"""The delivery engine: claim, sign, send, record, until nothing is due.

`engine` gives their turns to `claimer` (who claims), `dispatcher` (who sends) and `outcome_buffer` (who
records); a `claimed_delivery` passes through all three. Imports `endpoints`, `jobs` and what is below them.
"""
