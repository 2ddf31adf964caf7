"""The application factory."""

import subprocess
import sys
from typing import Any

import pytest
from flask import Flask

from tests.conftest import Workspace
from tests.remembered import RememberedRoutes
from webhooks_app.app import create_app
from webhooks_app.config import Settings
from webhooks_app.web import blueprints

ACCEPT = """
import sys
from webhooks_app.app import create_app
app = create_app()
event = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}
headers = {"Authorization": f"Bearer {sys.argv[1]}"}
answer = app.test_client().post("/api/v1/events", json=event, headers=headers)
assert answer.status_code == 202, answer.text
assert "pycurl" not in sys.modules
"""


def test_a_process_that_accepts_events_loads_no_libcurl(workspace: Workspace, settings: Settings) -> None:
    environ = {
        "WEBHOOKS_INSTANCE": str(settings.instance),
        "DATABASE_URL": settings.database_url.replace("postgresql+psycopg://", "postgresql://"),
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": settings.secret_key,
        "WEBHOOKS_ENCRYPTION_KEYS": ",".join(settings.encryption_keys),
    }
    subprocess.run([sys.executable, "-c", ACCEPT, workspace.token], env=environ, check=True, timeout=180)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_debug_mode_of_the_shell_is_not_the_platforms(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    app = create_app(settings)

    def fail() -> str:
        raise RuntimeError("broken")

    app.add_url_rule("/broken", view_func=fail)
    assert app.test_client().get("/broken").status_code == 500
    assert not app.jinja_env.auto_reload


def registered(app: Flask) -> list[Any]:
    """What is registered with an application: its routes, and what runs around each."""
    rules = {(rule.rule, rule.endpoint, *sorted(rule.methods or ())) for rule in app.url_map.iter_rules()}
    around = (app.before_request_funcs, app.after_request_funcs, app.url_value_preprocessors)
    counts = [{area: len(functions) for area, functions in each.items() if functions} for each in around]
    handled = {(area, code) for area, handlers in app.error_handler_spec.items() for code in handlers}
    return [rules, set(app.view_functions), set(app.blueprints), *counts, handled]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_applications_of_these_tests_have_what_one_alone_has(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = blueprints.register
    assert isinstance(shared, RememberedRoutes)
    first, second = create_app(settings), create_app(settings)
    monkeypatch.setattr(blueprints, "register", shared.register)
    alone = create_app(settings)

    first.add_url_rule("/another", view_func=lambda: "another")

    assert registered(second) == registered(alone)
    assert [app.test_client().get("/another").status_code for app in (first, second)] == [200, 404]
