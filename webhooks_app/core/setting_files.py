"""Settings that name a file."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from webhooks_app.core.setting_values import ConfigError

# As OpenSSL has it, which both libcurl and Python ask (RFC 7468, section 5).
_CERTIFICATE = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----")


def existing_file(env: Mapping[str, str], name: str) -> str | None:
    """Return the path, or None where the setting is not there. Raises ConfigError where the file is not."""
    path = env.get(name)
    if path is not None:
        require(name, path)
    return path


def certificates(env: Mapping[str, str], name: str) -> str | None:
    """Return the path of a file with certificates, or None where the setting is not there.

    Raises ConfigError where the file is not there or holds none, as no HTTPS endpoint would be trusted then.
    """
    path = existing_file(env, name)
    if path is None:
        return None
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name} names a file that cannot be read ({error.strerror}): {path!r}") from None
    if not _CERTIFICATE.search(content):
        raise ConfigError(f"{name} names a file that holds no certificate in PEM: {path!r}")
    return path


def existing_path(env: Mapping[str, str], name: str) -> Path | None:
    """Return the absolute path of a file or folder, or None. Raises ConfigError where there is neither."""
    text = env.get(name)
    if text is None:
        return None
    if not os.path.exists(text):  # unlike Path.exists, it takes a text that cannot be a path
        raise ConfigError(f"{name} names a file or folder that is not there: {text!r}")
    return Path(text).absolute()


def require(name: str, path: str) -> None:
    """Raise ConfigError unless there is such a file."""
    if not Path(path).is_file():
        raise ConfigError(f"{name} names a file that is not there: {path!r}")
