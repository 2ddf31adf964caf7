"""The folder of the embedded set-up: its secrets, the socket of its Redis, and who runs from it."""

import contextlib
import fcntl
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import quote

from webhooks_app.core.setting_values import ConfigError

# The address of a unix socket holds 104 bytes on macOS and 108 on Linux, its closing zero included.
LONGEST_SOCKET_PATH = 103


def ensure_writable(folder: Path) -> None:
    """Create the folder, for its owner alone, unless it is there. Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"The folder {str(folder)!r} cannot be written ({reason}); set WEBHOOKS_INSTANCE to another."
        ) from None


def database_url(folder: Path) -> str:
    """Return the URL of the folder's SQLite file."""
    path = folder / "webhooks.db"
    if "?" not in str(path):
        return f"sqlite:///{path}"
    return f"sqlite:///file:{quote(os.fsencode(path))}?uri=true"  # a URL's query would begin there


def redis_url(folder: Path) -> str:
    """Return the URL of the embedded Redis."""
    return f"unix://{quote(os.fsencode(redis_socket(folder)))}"


def redis_socket(folder: Path) -> Path:
    """Return the embedded Redis's socket: in the folder, or elsewhere if an address or URL cannot hold it."""
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and _is_text(path):
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"avra-{os.getuid()}-{digest}" / "redis.sock"


def _is_text(path: Path) -> bool:
    """Whether the name was decoded without surrogates, for which a URL has no place."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def generated_secret(path: Path, make: Callable[[], str]) -> str:
    """Return the secret that the file holds, which the first call makes."""
    if not path.exists() or path.stat().st_size == 0:
        _write_once(path, make())
    return path.read_text().strip()


def _write_once(path: Path, text: str) -> None:
    """The file appears with its content or not at all; of two processes at once, the first one's counts."""
    draft = path.with_name(f".{path.name}-{os.getpid()}-{threading.get_ident()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    if path.exists() and path.stat().st_size == 0:  # left by a crash
        draft.replace(path)
        return
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()


def hold(folder: Path) -> IO[str]:
    """Hold the folder for this process, and for those that inherit the file, while the file is open.

    Waits for the processes of a supervisor that was killed. Raises ConfigError when another one runs from it.
    """
    ensure_writable(folder)
    file = open(folder / "run.lock", "a+")  # noqa: SIM115  held for the life of the process
    while not _locks(file):
        file.seek(0)
        pid = file.read().strip()
        if not _is_dead(pid):
            raise ConfigError(
                f"It already runs from {folder} (process {pid or 'unknown'}); stop that one first."
            )
        time.sleep(0.1)  # it was killed, and its processes are on their way out
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _locks(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_dead(pid: str) -> bool:
    if not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
