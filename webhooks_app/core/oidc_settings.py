"""The settings of the provider by whose accounts people log in (OpenID Connect)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from webhooks_app.core import ids, ip_addresses, setting_files, setting_values
from webhooks_app.core.setting_values import ConfigError

_ROLES = ("admin", "viewer")
PREFIX = "WEBHOOKS_OIDC_"


@dataclass(frozen=True, slots=True)
class GroupGrant:
    """Whoever is in the group is a member of the workspace, in that role."""

    group: str
    workspace_id: str
    role: str


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """`links_by_email`: an account with the same, verified address is theirs. `trusts_email`: every address
    that the provider gives counts as verified.
    """

    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    name: str
    scopes: str
    groups_claim: str
    grants: tuple[GroupGrant, ...]
    links_by_email: bool
    trusts_email: bool
    ca_bundle: str | None


def read(env: Mapping[str, str]) -> OidcSettings | None:
    """Return the provider; None where nobody set one up. Raises ConfigError."""
    if not any(name.startswith(PREFIX) for name in env):
        return None
    for name in ("ISSUER", "CLIENT_ID"):
        if PREFIX + name not in env:
            raise ConfigError(f"{PREFIX}{name} must be set when another {PREFIX}… setting is.")
    return OidcSettings(
        issuer=_issuer(env[PREFIX + "ISSUER"]),
        client_id=env[PREFIX + "CLIENT_ID"],
        client_secret=_secret(env),
        name=env.get(PREFIX + "NAME", "single sign-on"),
        scopes=_scopes(env.get(PREFIX + "SCOPES", "openid email profile")),
        groups_claim=env.get(PREFIX + "GROUPS_CLAIM", "groups"),
        grants=tuple(map(_grant, filter(None, map(str.strip, env.get(PREFIX + "GROUPS", "").split(";"))))),
        links_by_email=setting_values.flag(env, PREFIX + "LINK_BY_EMAIL"),
        trusts_email=setting_values.flag(env, PREFIX + "TRUST_EMAIL"),
        ca_bundle=setting_files.existing_file(env, "WEBHOOKS_CA_BUNDLE"),
    )


def _issuer(url: str) -> str:
    parts = urlsplit(url) if setting_values.has_good_port(url) else None
    host = (parts and parts.hostname) or ""
    is_safe = parts is not None and (parts.scheme == "https" or ip_addresses.is_loopback(host))
    if parts is None or not is_safe or not host or parts.query or parts.fragment or parts.username:
        raise ConfigError(
            f"{PREFIX}ISSUER must be the provider's issuer, such as https://login.example.com;"
            " http:// is for loopback only."
        )
    return url


def _secret(env: Mapping[str, str]) -> str | None:
    """Return the secret, or that in the file; None of a client that has none."""
    path = setting_files.existing_file(env, PREFIX + "CLIENT_SECRET_FILE")
    if path is None:
        return env.get(PREFIX + "CLIENT_SECRET")
    if PREFIX + "CLIENT_SECRET" in env:
        raise ConfigError(f"Set {PREFIX}CLIENT_SECRET or {PREFIX}CLIENT_SECRET_FILE, not both.")
    try:
        return Path(path).read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{PREFIX}CLIENT_SECRET_FILE cannot be read: {path!r}") from None


def _scopes(text: str) -> str:
    scopes = text.replace(",", " ").split()
    if "openid" not in scopes:
        raise ConfigError(f"{PREFIX}SCOPES must hold openid, as in: openid email profile groups")
    return " ".join(scopes)


def _grant(text: str) -> GroupGrant:
    """Read `group=workspace:role`; a group may hold both signs, as in LDAP."""
    group, _, given = text.rpartition("=")
    workspace_id, _, role = given.partition(":")
    if not group.strip() or not ids.is_id("ws", workspace_id.strip()) or role.strip() not in _ROLES:
        raise ConfigError(
            f"{PREFIX}GROUPS must be group=workspace id:role, separated by semicolons; {text[:80]!r} is not."
        )
    return GroupGrant(group.strip(), workspace_id.strip(), role.strip())
