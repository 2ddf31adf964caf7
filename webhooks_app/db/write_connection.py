"""The type of connections that may write, so that mypy refuses a write over one that only reads."""

from typing import NewType

from sqlalchemy import Connection

# Made by WriteDatabase alone. What only reads takes a Connection, and so either.
WriteConnection = NewType("WriteConnection", Connection)
