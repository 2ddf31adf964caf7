"""The command `avra-relay` as a process of its own."""

import os
import subprocess
import sys

from tests.avra_client.conftest import Store
from tests.test_packages import ROOT

COMMAND = [sys.executable, "-m", "avra_client.relay_command"]


def environment(store: Store, url: str, token: str) -> dict[str, str]:
    settings = {"AVRA_OUTBOX_DATABASE": store.url, "AVRA_URL": url, "AVRA_TOKEN": token}
    path = os.pathsep.join([str(ROOT / "clients" / "python"), os.environ.get("PYTHONPATH", "")])
    return os.environ | settings | {"PYTHONPATH": path.rstrip(os.pathsep)}


def start(environ: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start a relay that looks for rows often; what it says goes to its standard error."""
    often = ("--poll-seconds", "0.02", "--batch", "20")
    return subprocess.Popen(
        [*COMMAND, "run", *often, *arguments], env=environ, stderr=subprocess.PIPE, text=True
    )
