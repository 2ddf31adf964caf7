"""Engines for SQLite and PostgreSQL, tables, migrations, SQL that differs by dialect, and keyset paging.

Imports `core`. Imported by `accounts`, `app`, `cli`, `config`, `deliveries`, `endpoints`, `events`,
`extensions`, `jobs`, `listeners`, `monitoring`, `server`, `services`, `tasks`, `web` and `worker`.
"""
