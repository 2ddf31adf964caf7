"""Whatever the document lets one send, and what it does not, sent by schemathesis to a running server.

All of its checks, in a bounded number of requests: those that cover each operation's parameters one by one,
some at random, and sequences that use what an earlier answer named. The first are 3,000, the same each time,
and go to PostgreSQL alone, which refuses what SQLite takes, such as a NUL in a text.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask

from tests.conftest import Workspace
from tests.deliveries.conftest import fail_all
from tests.server.running_server import serving
from tests.web.api.conftest import new_api
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.extensions import services
from webhooks_app.server.event_intake import EventIntake, answer_headers

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# A request may be of the right form and yet name a host that nothing goes to, or a type that is not there.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "304", "400", "403", "404", "409", "412", "422"]
[checks.negative_data_rejection]
expected-statuses = ["4xx"]
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("database_url", "phases"),
    [("sqlite", "examples,fuzzing,stateful"), ("postgresql", "examples,coverage,fuzzing,stateful")],
    indirect=["database_url"],
)
def test_schemathesis_finds_nothing(
    app: Flask, workspace: Workspace, database: WriteDatabase, phases: str, tmp_path: Path
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(3)
    fail_all(database)
    workspace.send()
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    intake = EventIntake(services(app).group_commit, services(app).catalog, headers=answer_headers(app))
    with serving(app, intake=intake) as server:
        url = f"http://127.0.0.1:{server.port}"
        command = [str(SCHEMATHESIS), "--config-file", str(tmp_path / "schemathesis.toml"), "run"]
        command += [f"{url}/api/v1/openapi.json", "--url", f"{url}/api/v1"]
        command += ["-H", f"Authorization: Bearer {new_api(workspace).token}", "--checks", "all"]
        command += ["--phases", phases, "--max-examples", "10", "--generation-deterministic"]
        command += ["--suppress-health-check", "all", "--warnings", "off", "--request-timeout", "30"]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=900)
    assert ran.returncode == 0, ran.stdout[-30000:] + ran.stderr[-2000:]
