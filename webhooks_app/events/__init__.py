"""The event catalog, accepting events, and test events.

Imports `worker` and what is below it.
"""
