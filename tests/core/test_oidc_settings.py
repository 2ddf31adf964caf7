"""The settings of single sign-on."""

from pathlib import Path

import pytest

from webhooks_app.core import ids, oidc_settings
from webhooks_app.core.oidc_settings import GroupGrant
from webhooks_app.core.setting_values import ConfigError

REQUIRED = {"WEBHOOKS_OIDC_ISSUER": "https://login.example.com/realm", "WEBHOOKS_OIDC_CLIENT_ID": "avra"}
WORKSPACE_ID = "ws_06h1e2q60u9fvojk496e4rngi8"


def test_without_settings_there_is_none() -> None:
    assert oidc_settings.read({}) is None


def test_a_group_may_hold_what_separates(tmp_path: Path) -> None:
    workspace = ids.new("ws")
    (tmp_path / "secret").write_text(" s3cret\n")
    found = oidc_settings.read(
        REQUIRED
        | {
            "WEBHOOKS_OIDC_GROUPS": f"cn=ops:eu,ou=x={workspace}:admin; all = {workspace}:viewer;",
            "WEBHOOKS_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret"),
        }
    )
    assert found
    assert found.client_secret == "s3cret"
    assert found.grants == (
        GroupGrant("cn=ops:eu,ou=x", workspace, "admin"),
        GroupGrant("all", workspace, "viewer"),
    )


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"WEBHOOKS_OIDC_ISSUER": ""}, "ISSUER"),
        ({"WEBHOOKS_OIDC_ISSUER": "http://login.example.com"}, "ISSUER"),
        ({"WEBHOOKS_OIDC_ISSUER": "https://login.example.com?x=1"}, "ISSUER"),
        ({"WEBHOOKS_OIDC_ISSUER": "https://[x"}, "ISSUER"),
        ({"WEBHOOKS_OIDC_SCOPES": "email"}, "SCOPES"),
        ({"WEBHOOKS_OIDC_GROUPS": "ops"}, "GROUPS"),
        ({"WEBHOOKS_OIDC_GROUPS": "ops=Acme:admin"}, "GROUPS"),
        ({"WEBHOOKS_OIDC_GROUPS": f"ops={WORKSPACE_ID}:king"}, "GROUPS"),
        ({"WEBHOOKS_OIDC_CLIENT_SECRET_FILE": "/no/such/file"}, "CLIENT_SECRET_FILE"),
        ({"WEBHOOKS_OIDC_LINK_BY_EMAIL": "yes"}, "LINK_BY_EMAIL"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused_by_name(changed: dict[str, str], names: str) -> None:
    env = {name: value for name, value in (REQUIRED | changed).items() if value}
    with pytest.raises(ConfigError, match=f"WEBHOOKS_OIDC_{names} "):
        oidc_settings.read(env)


def test_a_client_without_an_issuer_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="WEBHOOKS_OIDC_ISSUER must be set"):
        oidc_settings.read({"WEBHOOKS_OIDC_CLIENT_ID": "avra"})
