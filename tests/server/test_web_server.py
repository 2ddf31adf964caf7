"""Start and stop the web's server."""

import os
import subprocess
import sys
from pathlib import Path

from webhooks_app.config import ROOT

_STOPPED_EARLY = """
import os, signal
from webhooks_app.app import create_app
from webhooks_app.server import listening_socket, web_server
from webhooks_app.server.web_server import WebServer

class StoppedEarly(WebServer):
    async def run(self, when_ready):
        os.kill(os.getpid(), signal.SIGTERM)  # uvicorn does not listen to signals yet
        await super().run(when_ready)

web_server.WebServer = StoppedEarly
listener = listening_socket.listen("127.0.0.1", 0)
web_server.serve(create_app(), listener, threads=1, when_ready=lambda: print("ready"))
print("ended")
"""


def test_a_request_to_stop_that_comes_during_the_start_is_heeded(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _STOPPED_EARLY],
        cwd=ROOT,
        env=dict(os.environ) | {"WEBHOOKS_INSTANCE": str(tmp_path), "HOST": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["ended"]), done.stderr
