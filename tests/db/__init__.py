"""Tests of the database layer, on SQLite and PostgreSQL: sessions, migrations, indexes, packed rows."""
