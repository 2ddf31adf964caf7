"""The application factory."""

import subprocess
import sys

import pytest

from tests.conftest import Workspace
from webhooks_app.app import create_app
from webhooks_app.config import Settings

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
    subprocess.run([sys.executable, "-c", ACCEPT, workspace.token], env=environ, check=True, timeout=60)


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
