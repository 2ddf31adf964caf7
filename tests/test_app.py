"""The application factory."""

import subprocess
import sys

from tests.conftest import Workspace
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
