"""The folder of the embedded set-up: its secrets, the socket of its Redis, and who runs from it."""

import base64
import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import stat
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
# An empty database, with its log, and Redis's file take less.
ROOM_TO_START_BYTES = 8 * 1024 * 1024
_DATABASE = "webhooks.db"
_ROOT = 0
_OTHERS = 0o077
# What the platform and its Redis keep in the folder, drafts and probes included.
_OURS = re.compile(
    r"secret_key|encryption_keys|demo\.json|run\.lock|webhooks\.db(-wal|-shm|-journal)?|redis\.(sock|log)|"
    r"appendonlydir|appendonly\.aof|dump\.rdb|temp-\S+|\.(secret_key|encryption_keys|writable)-\S+|lost\+found"
)


def ensure_writable(folder: Path) -> list[str]:
    """Create the folder for its owner alone, or take others' rights to it away; return sentences to warn of.

    Raises ConfigError where it belongs to somebody else or cannot be written, also for want of space.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        owner = folder.stat().st_uid
        if owner not in (os.geteuid(), _ROOT) and os.geteuid() != _ROOT:
            raise ConfigError(
                f"The folder {str(folder)!r} belongs to another user ({_name(owner)}); "
                "run this as that user, or set WEBHOOKS_INSTANCE to another."
            )
        warnings = _tighten(folder)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:
        raise _unwritable(folder, error) from None
    return warnings


def _unwritable(folder: Path, error: Exception) -> ConfigError:
    reason = getattr(error, "strerror", None) or error
    return ConfigError(
        f"The folder {str(folder)!r} cannot be written ({reason}); set WEBHOOKS_INSTANCE to another."
    )


def _ensure_room(folder: Path) -> None:
    """Raises ConfigError on a disk that is full, on which an empty file could still be made."""
    probe = folder / f".writable-{os.getpid()}-room"
    try:
        probe.write_bytes(bytes(ROOM_TO_START_BYTES))
    except OSError as error:
        raise _unwritable(folder, error) from None
    finally:
        probe.unlink(missing_ok=True)


def _name(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return f"user id {user_id}"


def _tighten(folder: Path) -> list[str]:
    """Take the rights of all but the owner from what is ours in the folder, and from the folder itself.

    A folder that holds other things is left as it is, as whoever put them there may need to reach them.
    """
    entries = list(folder.iterdir())
    for path in (each for each in entries if _OURS.fullmatch(each.name)):
        if not path.is_symlink():  # what it leads to is somebody else's to decide on
            for each in (path, *path.rglob("*")):
                _take_rights(each)
    strangers = [each.name for each in entries if not _OURS.fullmatch(each.name)]
    if not strangers and _take_rights(folder):
        return []
    if not stat.S_IMODE(folder.stat().st_mode) & _OTHERS:
        return []
    reason = f"it also holds {strangers[0][:80]!r}" if strangers else "it belongs to root"
    return [
        f"The folder {str(folder)!r} is open to other users and stays so, as {reason}; the files that the "
        "platform keeps there are closed to them. Set WEBHOOKS_INSTANCE to a folder of its own."
    ]


def _take_rights(path: Path) -> bool:
    """Take all rights from others; return whether they have none now."""
    try:
        found = path.stat()
        if stat.S_IMODE(found.st_mode) & _OTHERS:
            path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    except FileNotFoundError:  # a file that SQLite or Redis has just removed
        return True
    except PermissionError:
        return False
    return True


def database_file(folder: Path) -> Path:
    """Return where the folder's database is."""
    return folder / _DATABASE


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


def has_database(folder: Path) -> bool:
    """Return whether a platform has begun in the folder; True also where that cannot be seen."""
    try:
        return _has_content(folder / _DATABASE)
    except (OSError, ValueError):  # whoever opens it says why it cannot be
        return True


def new_fernet_key() -> str:
    """Return a key as the cryptography package makes them, which half of the processes do not load."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def generated_secret(path: Path, make: Callable[[], str], *, keeps: bool) -> str:
    """Return the secret that the file holds, which the first call that `keeps` makes. Raises ConfigError."""
    if not keeps and not _has_content(path):
        return make()
    if not _has_content(path):
        try:
            _write_once(path, make())
        except OSError as error:
            raise _unwritable(path.parent, error) from None
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no text"
        raise ConfigError(f"The file {str(path)!r} cannot be read ({reason}).") from None


def require_keys_of_database(keys: Path) -> None:
    """Raise ConfigError where the file of the keys is gone, but not the database that was written with them.

    With other keys, all of its endpoints' secrets would be lost silently.
    """
    if _has_content(keys.with_name(_DATABASE)) and not _has_content(keys):
        raise ConfigError(
            f"The file {str(keys)!r} is gone, and with it the keys of the secrets in {_DATABASE} beside it: "
            "put it back, or set WEBHOOKS_ENCRYPTION_KEYS."
        )


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _write_once(path: Path, text: str) -> None:
    """The file appears with its content or not at all; of two processes at once, the first one's counts."""
    draft = path.with_name(f".{path.name}-{os.getpid()}-{threading.get_ident()}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        if path.exists() and path.stat().st_size == 0:  # left by a crash
            draft.replace(path)
            return
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)


def lock(folder: Path) -> IO[str]:
    """Hold the folder for this process, and for those that inherit the file, while the file is open.

    Waits for the processes of a supervisor that was killed. Raises ConfigError when another one runs from it,
    and when the disk is full.
    """
    ensure_writable(folder)
    _ensure_room(folder)
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
