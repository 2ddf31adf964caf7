"""Engines for SQLite and PostgreSQL, tables, migrations, and SQL that differs by dialect.

Imports `core` only.
"""
