"""Endpoints: every action on one, its secrets, headers, health, charts and notices.

Imports `accounts`, `core` and `db`. Imported by `cli`, `events`, `listeners`, `tasks`, `web` and `worker`.
"""
