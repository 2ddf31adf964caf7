"""Users, workspaces, members, API tokens and the audit log.

Imports `db` and `core`.
"""
