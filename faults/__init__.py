"""The fault suite: real processes, killed and starved by seed, and a checker that compares what is left.

`python -m faults` (or `make faults`) runs it whole; tests/test_faults.py runs a short part of it.
"""
