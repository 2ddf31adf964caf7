"""What DB-API drivers (PEP 249) differ in: placeholders, and how a URL is connected to."""

import importlib
import os
import re
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

CONNECT_SECONDS = 10
# For each answer of MySQL by way of mysqlclient, whose socket is out of reach.
_READ_SECONDS = 60
# Waits for the one who writes.
SQLITE_LOCK_SECONDS = 30.0
TABLE_NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?")
# Django's cursors take one style, whatever the driver's.
_PARAMSTYLES = {"django": "format"}
_DIALECTS = {
    **dict.fromkeys(("sqlite", "sqlite3"), "sqlite"),
    **dict.fromkeys(("postgresql", "postgres", "psycopg", "psycopg2", "pg8000"), "postgresql"),
    **dict.fromkeys(("mysql", "mariadb", "pymysql", "MySQLdb"), "mysql"),
}
_DRIVERS = {"postgresql": ("psycopg", "psycopg2"), "mysql": ("pymysql", "MySQLdb")}


class Cursor(Protocol):
    """Of a DB-API cursor what is used here."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, operation: str, parameters: Any = ..., /) -> Any: ...
    def fetchall(self) -> Sequence[Any]: ...
    def close(self) -> Any: ...


class Connection(Protocol):
    """Of a DB-API connection what is used here."""

    def cursor(self) -> Any: ...
    def commit(self) -> Any: ...
    def rollback(self) -> Any: ...
    def close(self) -> Any: ...


def check_table_name(name: str) -> str:
    """Return the name. Raises ValueError for one that would have to be quoted in SQL."""
    if not TABLE_NAME.fullmatch(name):
        raise ValueError("a table's name has small letters, digits and _, and a schema's before a dot")
    return name


def paramstyle_of(target: object) -> str:
    """Return the style of placeholders of a cursor's or connection's driver. Raises TypeError."""
    for module in _modules_of(target):
        style = _PARAMSTYLES.get(module) or getattr(sys.modules.get(module), "paramstyle", None)
        if isinstance(style, str):
            return style
    raise TypeError(f"{type(target).__name__} is of no known DB-API driver; say which paramstyle it has")


def dialect_of(target: object) -> str:
    """Return `sqlite`, `postgresql` or `mysql`. Raises TypeError."""
    for module in _modules_of(target):
        if module in _DIALECTS:
            return _DIALECTS[module]
    raise TypeError(f"{type(target).__name__} is of no driver that the relay knows")


def is_deadlock(error: BaseException) -> bool:
    """Return whether the database ended the transaction for another one, and nothing else is wrong.

    MySQL: error 1213, "try restarting transaction". PostgreSQL: SQLSTATE 40P01.
    """
    return error.args[:1] == (1213,) or "40P01" in (
        getattr(error, "sqlstate", None),
        getattr(error, "pgcode", None),
    )


def _modules_of(target: object) -> list[str]:
    # What a proxy stands for is its `__class__`, which need not be its type.
    classes = (*type(target).__mro__, *target.__class__.__mro__)
    return [each.__module__.partition(".")[0] for each in classes]


@contextmanager
def ended_after(connection: Connection, seconds: float | None) -> Iterator[None]:
    """End the connection unless the block is through in so many seconds; None waits for ever.

    What waits for the server then gets the driver's error. No time-out of libpq's does that for a server that
    is stopped, or for a pooler whose server is gone: the kernel there goes on to answer. SQLite, which has no
    server, has a time-out of its own.
    """
    number = _socket_of(connection) if seconds else None
    if seconds is None or number is None:
        yield
        return
    timer = threading.Timer(seconds, _shut, (number,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # so that it shuts nothing that has the number later


def _socket_of(connection: Any) -> int | None:
    """Return the file descriptor of the connection's socket, None where it has none."""
    if callable(fileno := getattr(connection, "fileno", None)):  # psycopg, psycopg2
        return int(fileno())
    sock = getattr(connection, "_sock", None)  # PyMySQL; mysqlclient is told at the connection's beginning
    return None if sock is None else int(sock.fileno())


def _shut(number: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(number)) as sock:
        sock.shutdown(socket.SHUT_RDWR)


def with_placeholders(statement: str, names: Sequence[str], paramstyle: str) -> str:
    """Return a statement, which has `{name}` where a value goes, with the driver's placeholders."""
    spelt: dict[str, Callable[[int, str], str]] = {
        "qmark": lambda at, name: "?",
        "numeric": lambda at, name: f":{at}",
        "named": lambda at, name: f":{name}",
        "format": lambda at, name: "%s",
        "pyformat": lambda at, name: f"%({name})s",
    }
    if paramstyle not in spelt:
        raise ValueError(f"paramstyle is one of {', '.join(spelt)}")
    return statement.format(**{name: spelt[paramstyle](at, name) for at, name in enumerate(names, start=1)})


def parameters(values: dict[str, Any], paramstyle: str) -> Any:
    """Return the values as the style takes them: by name, or in their order."""
    return values if paramstyle in ("named", "pyformat") else tuple(values.values())


def connector(url: str) -> Callable[[], Connection]:
    """Return a function that connects to a URL as SQLAlchemy and others write it.

    Raises ValueError for another kind of database, and where no driver for it is installed.
    """
    parts = urlsplit(url)
    name, _, driver = parts.scheme.partition("+")
    dialect = _DIALECTS.get(name)
    if dialect == "sqlite":
        if parts.netloc or not parts.path.removeprefix("/"):
            raise ValueError(
                "for SQLite: sqlite:///app.db in the current folder, or sqlite:////srv/shop/app.db"
            )
        return partial(_connect_sqlite, parts)
    if dialect == "postgresql":
        return partial(_connect_postgresql, _driver(dialect, driver), url.replace(parts.scheme, dialect, 1))
    if dialect == "mysql":
        return partial(_connect_mysql, _driver(dialect, driver), parts)
    raise ValueError("the database's URL begins with sqlite:///, postgresql:// or mysql://")


def _connect_sqlite(parts: SplitResult) -> Connection:
    # Read and write, but do not create: an empty file would hide a wrong path.
    path = unquote(parts.path.removeprefix("/"))
    address = f"file:{quote(path)}?mode=rw"
    try:
        return sqlite3.connect(address, timeout=SQLITE_LOCK_SECONDS, isolation_level=None, uri=True)
    except sqlite3.OperationalError as error:
        raise sqlite3.OperationalError(f"{error}: {os.path.abspath(path)}") from error


def _connect_postgresql(module: Any, url: str) -> Connection:
    # Prepared statements belong to a session, which a pooler in transaction mode gives to others.
    more: dict[str, Any] = {"prepare_threshold": None} if module.__name__ == "psycopg" else {}
    connection: Connection = module.connect(url, connect_timeout=CONNECT_SECONDS, **more)
    return connection


def _connect_mysql(module: Any, parts: SplitResult) -> Connection:
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    more: dict[str, Any] = {"unix_socket": query["unix_socket"]} if "unix_socket" in query else {}
    if module.__name__ == "MySQLdb":
        more |= {"read_timeout": _READ_SECONDS, "write_timeout": _READ_SECONDS}
    connection: Connection = module.connect(
        host=parts.hostname or "localhost",
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path.removeprefix("/"),
        charset="utf8mb4",
        connect_timeout=CONNECT_SECONDS,
        **more,
    )
    return connection


def _driver(dialect: str, name: str) -> Any:
    names = [name] if name in _DRIVERS[dialect] else _DRIVERS[dialect]
    for each in names:
        try:
            return importlib.import_module(each)
        except ModuleNotFoundError:
            continue
    raise ValueError(f"no driver for {dialect} is installed: pip install {names[0]}")
