"""The address of the database, checked as far as it can be without connecting to a server."""

import os
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

from webhooks_app.core.setting_values import ConfigError, has_good_port

_DRIVER = "postgresql+psycopg"
_SCHEMES = frozenset({"postgres", "postgresql", _DRIVER})
# Options that libpq takes several times, for several hosts.
_REPEATABLE = frozenset({"host", "port"})
_NUMBERS = frozenset(
    (
        *("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        "tcp_user_timeout",
    )
)
# The options that URLs usually have, of those that every version of libpq knows.
USUAL_OPTIONS = _NUMBERS | frozenset(
    (
        *("application_name", "channel_binding", "dbname", "host", "hostaddr", "options", "passfile"),
        *("password", "port", "service", "sslcert", "sslcrl", "sslkey", "sslmode", "sslrootcert"),
        *("target_session_attrs", "user"),
    )
)
# A user name and a password, the latter with whatever it holds up to the first `@`.
_LOG_IN = re.compile(r"\A[^:/]*(?::[^@]*)?@")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SQLITE_OPTIONS = frozenset({"timeout", "cached_statements"})


def parse(name: str, url: str) -> str:
    """Return the URL as SQLAlchemy takes it, with the driver for PostgreSQL that is installed.

    Raises ConfigError, which holds nothing of a password; `name` is the setting's.
    """
    scheme, separator, rest = url.partition("://")
    if scheme in _SCHEMES and separator and has_good_port(url):
        url = f"{_DRIVER}://{rest}"
        _check_options(name, _options(url))
        return url
    if scheme == "sqlite" and rest.startswith("/") and rest.partition("?")[0] not in ("/", "/:memory:"):
        options = _options(url)
        _refuse_unknown(name, options, _SQLITE_OPTIONS)
        _check_file(Path(unquote(rest.partition("?")[0].removeprefix("/"))).absolute())
        return url
    raise ConfigError(
        f"{name} must look like postgresql://user:password@host/name or sqlite:////path/file.db."
    )


def of_file(path: Path) -> str:
    """Return the URL of an SQLite file."""
    # SQLAlchemy decodes it, and takes what follows a question mark for the query.
    return "sqlite:///" + str(path).replace("%", "%25").replace("?", "%3F")


def _check_file(path: Path) -> None:
    """Raise ConfigError where SQLite could not keep a database there."""
    problem = _problem_of(path)
    if problem:
        raise ConfigError(f"The database cannot be used: {problem}.")


def _problem_of(path: Path) -> str | None:
    if path.is_dir():
        return f"{str(path)!r} is a folder and not a file"
    if not path.parent.is_dir():
        return f"the folder {str(path.parent)!r} is not there"
    # SQLite keeps its log beside the file.
    if not os.access(path.parent, os.R_OK | os.W_OK | os.X_OK, effective_ids=_HAS_EFFECTIVE_IDS):
        return f"this user may not write to the folder {str(path.parent)!r}"
    if not path.exists():
        return None
    if not os.access(path, os.R_OK | os.W_OK, effective_ids=_HAS_EFFECTIVE_IDS):
        return f"this user may not read and write {str(path)!r}"
    return _content_problem(path)


_HAS_EFFECTIVE_IDS = os.access in os.supports_effective_ids


def _content_problem(path: Path) -> str | None:
    """Return what is wrong with the file's content, as SQLite says it.

    It is not read here: a process that closes a file gives up the locks that SQLite holds on it.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            return f"{str(path)!r} is no SQLite database"
        if code == sqlite3.SQLITE_CORRUPT:
            return f"{str(path)!r} is damaged"
    return None


def _options(url: str) -> Mapping[str, str | tuple[str, ...]]:
    """Return them as SQLAlchemy will read them; it takes 12 MiB, and half of the processes do without it."""
    behind_log_in = _LOG_IN.sub("", url.partition("://")[2], count=1)
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(behind_log_in.partition("?")[2]):
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else tuple(values) for name, values in found.items()}


def _check_options(name: str, options: Mapping[str, str | tuple[str, ...]]) -> None:
    if not options.keys() <= USUAL_OPTIONS:
        _refuse_unknown(name, options, _all_options())
    for option, value in options.items():
        if isinstance(value, tuple) and option not in _REPEATABLE:
            raise ConfigError(f"{name} has the option {option} twice.")
        if option in _NUMBERS and not (str(value).isascii() and str(value).isdecimal()):
            raise ConfigError(f"{name} has an option {option} that is not a whole number.")
    if options.get("sslmode", "prefer") not in _SSL_MODES:
        raise ConfigError(f"{name} has an option sslmode that is not one of {', '.join(_SSL_MODES)}.")


def _all_options() -> frozenset[str]:
    """Ask libpq, which takes 5 MiB, for every option that it knows."""
    from psycopg.pq import Conninfo

    return frozenset(each.keyword.decode() for each in Conninfo.get_defaults())


def _refuse_unknown(name: str, options: Mapping[str, object], known: frozenset[str]) -> None:
    for option in options:
        if option not in known:
            shown = option if option.isascii() and option.isidentifier() and len(option) <= 40 else "that"
            raise ConfigError(f"{name} has an option that is not known: {shown}.")
