"""The fault suite: breaks a platform of real processes by seed, and checks what is left of every event.

`python -m faults` (or `make faults`) runs all of it, tests/faults a short part. docs/faults.md describes it.
"""
