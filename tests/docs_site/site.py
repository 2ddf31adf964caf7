"""The site as `make docs` builds it, in an environment of its own."""

import subprocess
import sys
from pathlib import Path

from webhooks_app.config import ROOT

TOOLS = ROOT / "docs_site" / "tools.txt"


def build(folder: Path) -> Path:
    """Build the site below the folder; return where it is."""
    site = folder / "site"
    uv = [
        sys.executable,
        "-m",
        "uv",
        "run",
        "-q",
        "--isolated",
        "--no-project",
        "--with-requirements",
        str(TOOLS),
    ]
    done = subprocess.run(
        [*uv, "python", "-m", "docs_site", str(site)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return site
