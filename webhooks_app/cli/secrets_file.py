"""Where `avra apply` leaves the signing secrets of new endpoints: a file that only its owner reads."""

import json
import os
import stat
from pathlib import Path
from typing import Self

from webhooks_app.core.start_errors import StartError


class SecretsFileError(StartError):
    """The file cannot be used, or not any more."""

    exit_code = os.EX_CANTCREAT


class SecretsFile:
    """Lines of JSON, each with the name, id and secret of an endpoint; written as soon as there is one.

    Made with mode 0600; one that is there is added to, unless others may read it. Raises SecretsFileError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._file = os.open(path, flags, 0o600)
        except OSError as error:
            raise SecretsFileError(f"{path} cannot be written: {error.strerror}") from None
        found = os.fstat(self._file)
        is_mine = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
        if not is_mine or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            os.close(self._file)
            raise SecretsFileError(f"Others may read {path}, so no secrets go there: run chmod 600 {path}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
        if not self.written and self.path.stat().st_size == 0:
            self.path.unlink(missing_ok=True)

    def add(self, name: str, endpoint_id: str, secret: str) -> None:
        """Write a secret to the disk, before the next endpoint is made. Raises SecretsFileError."""
        line = json.dumps({"name": name, "id": endpoint_id, "secret": secret}, ensure_ascii=False)
        try:
            os.write(self._file, f"{line}\n".encode())
            os.fsync(self._file)
        except OSError as error:
            message = (
                f"{self.path} cannot be written: {error.strerror}. Read the secret of {name} in the console."
            )
            raise SecretsFileError(message) from None
        self.written += 1
