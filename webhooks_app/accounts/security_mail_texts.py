"""The sentences of an e-mail about a change of somebody's account. Pure."""

from collections.abc import Mapping
from datetime import datetime

from webhooks_app.core import clock
from webhooks_app.core.mail import one_line

SUBJECTS = {
    "profile.password": "Your password was changed",
    "profile.remove": "Your account was removed",
    "second_factor.on": "Two-factor authentication was turned on",
    "second_factor.off": "Two-factor authentication was turned off",
    "second_factor.codes": "New recovery codes were made",
    "second_factor.recover": "A recovery code was used to log in",
    "second_factor.reset": "Your two-factor authentication was reset",
    "passkey.add": "A passkey was added to your account",
    "passkey.remove": "A passkey was removed from your account",
    "sso.connect": "Single sign-on was connected to your account",
    "sso.disconnect": "Single sign-on was disconnected from your account",
    "session.end": "One of your sessions was ended",
    "session.end_others": "All your other sessions were ended",
    "session.end_all": "All your sessions were ended",
    "session.link": "You were logged in by an operator's link",
    "token.create": "An API token was created in your name",
}
_TEXT = """\
{subject}: {email} at {base_url}.

When:  {when}
From:  {address}
{rest}
If that was you, there is nothing to do.

{otherwise}
"""
_AS_PASSWORDS_ARE = (
    "If it was not you, somebody else may be in your account. Set a new password at\n"
    "{base_url}/password-reset/ , which ends every session. Then look through the passkeys, the two-factor\n"
    "authentication and the sessions in your profile, and tell an admin of your workspaces."
)
_AS_NO_PASSWORDS_ARE = (
    "If it was not you, somebody else may be in your account. Tell whoever runs this platform at once: an\n"
    "operator ends every session of the account. Have your account at the provider looked through, too."
)
_OF_A_TOKEN = (
    "If it was not you, revoke the token first, under API tokens in the workspace: whoever has it can go on\n"
    "using it, also after you have set a new password.\n\n"
)
_OF_A_REMOVED = "If you did not expect this, ask an admin of your workspaces, or whoever runs this platform."


def subject(action: str) -> str:
    """Return the subject of the e-mail."""
    return SUBJECTS[action]


def text(
    action: str,
    *,
    email: str,
    actor: str,
    address: str,
    details: Mapping[str, str],
    created_at: datetime,
    base_url: str,
    takes_passwords: bool,
) -> str:
    """Return what happened, when and from where, and what to do if it was not they."""
    return _TEXT.format(
        subject=subject(action),
        email=email,
        base_url=base_url,
        when=clock.format_utc(created_at, with_seconds=True),
        address=address or "the platform's own host",
        rest="".join(_lines(email, actor, details)),
        otherwise=_otherwise(action, base_url, takes_passwords),
    )


def _lines(email: str, actor: str, details: Mapping[str, str]) -> list[str]:
    lines = [] if actor == email else [("By", "an operator of the platform" if actor == "shell" else actor)]
    named = [("Name", "name"), ("Workspace", "workspace"), ("May", "scopes"), ("Provider", "issuer")]
    lines += [(label, details[key]) for label, key in named if details.get(key)]
    return [f"{label + ':':6} {one_line(value)}\n" for label, value in lines]


def _otherwise(action: str, base_url: str, takes_passwords: bool) -> str:
    if action == "profile.remove":
        return _OF_A_REMOVED
    advice = _AS_PASSWORDS_ARE if takes_passwords else _AS_NO_PASSWORDS_ARE
    return (_OF_A_TOKEN if action == "token.create" else "") + advice.format(base_url=base_url)
