"""The folder of the embedded set-up, and the keys: from the environment, or made on the first run in it."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from webhooks_app.core import instance_folder, setting_values
from webhooks_app.core.setting_values import ConfigError


@dataclass(frozen=True, slots=True)
class Instance:
    """The folder. `is_embedded`: whether the database is in it. `keeps`: whether it may be written."""

    folder: Path
    is_embedded: bool
    keeps: bool
    warnings: list[str]


def read(env: Mapping[str, str], default: Path, *, begins: bool) -> Instance:
    """Return the folder, made where the database is in it; without `begins`, only if it holds one.

    Raises ConfigError.
    """
    folder = Path(env.get("WEBHOOKS_INSTANCE", default)).absolute()
    is_embedded = "DATABASE_URL" not in env
    keeps = begins or not is_embedded or instance_folder.has_database(folder)
    warnings = instance_folder.ensure_writable(folder) if is_embedded and keeps else []
    return Instance(folder, is_embedded, keeps, warnings)


def secret_key(env: Mapping[str, str], instance: Instance) -> str:
    """Return what the web signs its cookies with. Raises ConfigError."""
    key = env.get("SECRET_KEY") or _generated("SECRET_KEY", "secret_key", instance, secrets.token_urlsafe)
    if len(key) < 32:
        raise ConfigError("SECRET_KEY must have at least 32 characters.")
    return key


def encryption_keys(env: Mapping[str, str], instance: Instance) -> tuple[str, ...]:
    """Return what secrets in the database are encrypted with, the present one first. Raises ConfigError."""
    name, file_name = "WEBHOOKS_ENCRYPTION_KEYS", "encryption_keys"
    if instance.is_embedded and name not in env:
        instance_folder.require_keys_of_database(instance.folder / file_name)
    text = env.get(name) or _generated(name, file_name, instance, instance_folder.new_fernet_key)
    return setting_values.fernet_keys(name, text)


def _generated(name: str, file_name: str, instance: Instance, make: Callable[[], str]) -> str:
    """Return a secret kept in a file of the embedded set-up; made on its first run, demanded of any other."""
    if not instance.is_embedded:
        raise ConfigError(f"{name} must be set when DATABASE_URL is.")
    return instance_folder.generated_secret(instance.folder / file_name, make, keeps=instance.keeps)
