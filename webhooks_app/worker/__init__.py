"""The delivery engine: claim, sign, send, record, until nothing is due.

Imports `endpoints`, `jobs` and what is below them.
"""
