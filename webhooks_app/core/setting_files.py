"""Settings that name a file."""

from collections.abc import Mapping
from pathlib import Path

from webhooks_app.core.setting_values import ConfigError


def existing_file(env: Mapping[str, str], name: str) -> str | None:
    """Return the path, or None where the setting is not there. Raises ConfigError where the file is not."""
    path = env.get(name)
    if path is not None:
        require(name, path)
    return path


def require(name: str, path: str) -> None:
    """Raise ConfigError unless there is such a file."""
    if not Path(path).is_file():
        raise ConfigError(f"{name} names a file that is not there: {path!r}")
