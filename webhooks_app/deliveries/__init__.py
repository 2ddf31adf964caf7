"""The delivery log, replays, cancellations, recoveries and retention.

Imports `events` and what is below it.
"""
