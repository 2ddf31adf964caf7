"""Settings that name a file."""

import os
from collections.abc import Mapping
from pathlib import Path

from webhooks_app.core.setting_values import ConfigError


def existing_file(env: Mapping[str, str], name: str) -> str | None:
    """Return the path, or None where the setting is not there. Raises ConfigError where the file is not."""
    path = env.get(name)
    if path is not None:
        require(name, path)
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
