"""The `oidc-provider` of npm, run by Node: a certified OpenID provider, as companies run one."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from joserfc.jwk import ECKey, KeySet, RSAKey

from tests.snippets import projects
from tests.waiting import wait_for

VERSION = "9.13.3"
SECRET = "a secret of 32 characters or more"
_FETCH = (
    *("npm", "install", "--silent", "--no-save", "--no-package-lock", "--ignore-scripts"),
    f"oidc-provider@{VERSION}",
)
CALLBACK = "http://127.0.0.1:8000/login/sso/callback"


class RealProvider:
    """One that can be stopped and started again, with the same keys or with others."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.issuer = f"http://127.0.0.1:{port}"
        self.people: dict[str, dict[str, Any]] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, keys: Path) -> None:
        command = ["node", "provider.mjs", str(self.port), str(keys)]
        self._process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self._answers, 60)
        self.log_in_there(None)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(120)
            self._process = None

    def log_in_there(self, who: str | None, **claims: Any) -> None:
        """Have that person be logged in at the provider, with these claims; with None, nobody agrees."""
        if who is not None:
            self.people[who] = claims
        body = json.dumps({"current": who, "people": self.people})
        requests.put(f"{self.issuer}/people", data=body, timeout=30).raise_for_status()

    def walk(self, address: str) -> str:
        """Follow the provider's redirects as a browser does; return the path back to the console."""
        with requests.Session() as browser:
            for _ in range(10):
                answer = browser.get(address, allow_redirects=False, timeout=30)
                assert answer.is_redirect, answer.text[:2000]
                address = requests.compat.urljoin(address, answer.headers["Location"])
                if address.startswith(CALLBACK):
                    parts = urlsplit(address)
                    return f"{parts.path}?{parts.query}"
        raise AssertionError(f"it leads nowhere: {address}")

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.issuer}/.well-known/openid-configuration", timeout=5).ok
        except requests.RequestException:
            return False


def new_keys(path: Path) -> Path:
    keys = KeySet([RSAKey.generate_key(2048, auto_kid=True), ECKey.generate_key("P-256", auto_kid=True)])
    path.write_text(json.dumps(keys.as_dict(private=True)))
    return path


@contextmanager
def running(scratch: Path, port: int) -> Iterator[RealProvider]:
    projects.require({"node": "nodejs", "npm": "npm"})
    folder = projects.CACHE / "oidc-provider"
    with projects.cache("oidc-provider"):
        projects.lay(folder, {"provider.mjs": (Path(__file__).parent / "provider.mjs").read_text()})
        projects.fetch(folder, _FETCH, ())
    provider = RealProvider(folder, port)
    provider.start(keys=new_keys(scratch / "provider-keys.json"))
    try:
        yield provider
    finally:
        provider.stop()
