"""The command `avra-relay` as a process of its own."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.avra_client.conftest import Store
from tests.docs_site.code_blocks import block
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


def start_as_documented(store: Store, url: str, token_file: Path, port: int) -> subprocess.Popen[str]:
    """Start one by the commands of docs/outbox.md, that listens on the port."""
    own = {
        "postgresql://shop@db/shop": store.url,
        "https://webhooks.example.com": url,
        "/run/secrets/avra": str(token_file),
    }
    name = "export AVRA_OUTBOX_DATABASE=postgresql://shop@db/shop AVRA_URL=https://webhooks.example.com"
    script = block("docs/outbox.md", f"{name} AVRA_TOKEN_FILE=/run/secrets/avra")
    for shown, value in own.items():
        assert shown in script
        script = script.replace(shown, shlex.quote(value))
    script = script.replace("127.0.0.1:9465", f"127.0.0.1:{port}").replace(
        "avra-relay", f"exec {shlex.join(COMMAND)}"
    )
    environ = {
        name: value for name, value in environment(store, "", "").items() if not name.startswith("AVRA_")
    }
    return subprocess.Popen(["sh", "-ec", script], env=environ, stderr=subprocess.PIPE, text=True)
