"""Which platform a command talks to, and with which token: from the environment or a file of profiles."""

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from webhooks_app.core.ids import PLACEHOLDER_TOKEN
from webhooks_app.core.start_errors import StartError

URL, TOKEN, PROFILE = "AVRA_URL", "AVRA_TOKEN", "AVRA_PROFILE"
_KEYS = ("url", "token", "ca_file")
# What others could do with a file that holds tokens.
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class ProfileError(StartError):
    """There is no usable profile; the message says what to do, and never has a token in it."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A platform's address, an API token of a workspace there, and what signs its certificate."""

    name: str
    url: str
    token: str = field(repr=False)
    ca_file: str | None = None

    @property
    def shows_token(self) -> bool:
        """Whether the token leaves this machine unencrypted."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and not _is_this_machine(parts.hostname or "")


def _is_this_machine(host: str) -> bool:
    """Return whether a host is this one without asking the network (RFC 6761, section 6.3)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost")


def config_path(env: Mapping[str, str]) -> Path:
    """Return where the profiles are (XDG Base Directory Specification): `~/.config/avra/config.toml`."""
    folder = env.get("XDG_CONFIG_HOME", "")
    # The specification has relative paths ignored.
    return (Path(folder) if os.path.isabs(folder) else Path.home() / ".config") / "avra" / "config.toml"


def read(env: Mapping[str, str], chosen: str | None = None) -> Profile:
    """Return the profile to use. Raises ProfileError.

    The `chosen` one of the file; else AVRA_URL with AVRA_TOKEN; else that of AVRA_PROFILE, or the file's
    `default`, where AVRA_TOKEN takes the place of its token. A token of the file goes to no other address.
    """
    if chosen is None and env.get(URL):
        if not env.get(TOKEN):
            raise ProfileError(f"{URL} is set, but {TOKEN} is not: set it to an API token.")
        return _checked(Profile("environment", env[URL], env[TOKEN]), URL, TOKEN)
    path = config_path(env)
    document = _document(path)
    name = chosen or env.get(PROFILE) or document.get("default")
    if name is None:
        raise ProfileError(
            f"Which platform? Set {URL} and {TOKEN}, or write a profile into {path} (docs/shell.md says how)."
        )
    given = {} if chosen else {"token": env.get(TOKEN) or None}
    return _from_file(path, document, str(name), given)


def _document(path: Path) -> dict[str, Any]:
    """Return what the file says; nothing where there is none."""
    try:
        with path.open("rb") as file:
            _refuse_open(path, os.fstat(file.fileno()).st_mode)
            document = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ProfileError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path} is not valid TOML: {error}") from None
    _refuse_unknown(f"{path}", document, ("default", "profiles"))
    return document


def _refuse_open(path: Path, mode: int) -> None:
    """Refuse a file with tokens that others may read, as ssh refuses such keys."""
    if mode & _OTHERS:
        raise ProfileError(f"Others may read {path}, which holds tokens: run chmod 600 {path}")


def _from_file(path: Path, document: Mapping[str, Any], name: str, given: Mapping[str, Any]) -> Profile:
    profiles = document.get("profiles")
    profiles = profiles if isinstance(profiles, dict) else {}
    values = profiles.get(name)
    if not isinstance(values, dict):
        there = f"it has {', '.join(sorted(profiles))}" if profiles else "it has none"
        raise ProfileError(f"{path} has no profile {name!r}; {there}.")
    where = f"{path}, profile {name!r}"
    _refuse_unknown(where, values, _KEYS)
    values = values | {key: value for key, value in given.items() if value}
    for key in ("url", "token"):
        if not values.get(key):
            raise ProfileError(f"{where}: {key} is missing.")
    if wrong := [key for key, value in values.items() if not isinstance(value, str)]:
        raise ProfileError(f"{where}: {wrong[0]} must be a text.")
    profile = Profile(name, values["url"], values["token"], values.get("ca_file"))
    return _checked(profile, f"{where}: url", f"{where}: token")


def _refuse_unknown(where: str, values: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in values:
        if key not in known:
            close = get_close_matches(key, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}."
            raise ProfileError(f"{where}: there is no key {key!r}; {hint}")


def _checked(profile: Profile, url_name: str, token_name: str) -> Profile:
    """Return the profile with a URL to build upon. Raises ProfileError."""
    url, token = profile.url.strip().rstrip("/"), profile.token.strip()
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or parts.query or parts.fragment or parts.username or parts.password:
        raise ProfileError(f"{url_name} must look like https://webhooks.example.com")
    if token == PLACEHOLDER_TOKEN:
        raise ProfileError(
            f"{token_name} is the {PLACEHOLDER_TOKEN} of an example: put a token of your own there."
        )
    if not token or " " in token or not (token.isascii() and token.isprintable()):
        raise ProfileError(f"{token_name} must be as the platform issued it, without spaces or line breaks")
    if profile.ca_file and not Path(profile.ca_file).is_file():
        raise ProfileError(f"Profile {profile.name!r}: there is no file {profile.ca_file!r} (ca_file).")
    return Profile(profile.name, url, token, profile.ca_file)
