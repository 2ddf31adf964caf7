"""Any number of processes may migrate one database at once."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import make_settings
from tests.db.test_migrations import own_database
from tests.patience import patient_app
from webhooks_app.cli.schema import downgrade
from webhooks_app.extensions import db

MIGRATE = (sys.executable, "-c", "from webhooks_app.cli.main import main; main(['migrate'])")
KEYS = {"SECRET_KEY": "s" * 40, "WEBHOOKS_ENCRYPTION_KEYS": base64.urlsafe_b64encode(b"k" * 32).decode()}
WAITING = "Waiting for another process that builds indexes.\n"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_that_migrate_at_once_both_succeed(database_url: str, redis_url: str, tmp_path: Path) -> None:
    with own_database(database_url) as url:
        environ = os.environ | KEYS | {"DATABASE_URL": url, "REDIS_URL": redis_url}
        assert _migrate_twice(environ) == [(0, ""), (0, "")]
        app = patient_app(make_settings(url, redis_url, tmp_path))
        with app.app_context():
            downgrade(revision="0020")
            db.engine.dispose()
        assert _migrate_twice(environ) == [(0, ""), (0, "")]


def _migrate_twice(environ: dict[str, str]) -> list[tuple[int, str]]:
    both = [subprocess.Popen(MIGRATE, env=environ, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [each.communicate(timeout=300)[1].replace(WAITING, "") for each in both]
    return [(each.returncode, error) for each, error in zip(both, errors, strict=True)]
