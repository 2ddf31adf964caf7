"""Engines for SQLite and PostgreSQL, tables, migrations, SQL that differs by dialect, and keyset paging.

Imports `core` only.
"""
