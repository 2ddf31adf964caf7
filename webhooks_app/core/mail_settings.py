"""The settings of the server that takes e-mail."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from webhooks_app.core import setting_files
from webhooks_app.core.setting_values import ConfigError

if TYPE_CHECKING:
    from webhooks_app.core.mail import MailServer


def read(env: Mapping[str, str]) -> "MailServer | None":
    """Return where notices go out; None where nobody set it up. Raises ConfigError."""
    if "WEBHOOKS_SMTP_URL" not in env and "WEBHOOKS_MAIL_FROM" not in env:
        return None
    from webhooks_app.core import mail  # with smtplib and TLS, which most processes do without

    for name, other in (("SMTP_URL", "MAIL_FROM"), ("MAIL_FROM", "SMTP_URL")):
        if f"WEBHOOKS_{name}" not in env:
            raise ConfigError(f"WEBHOOKS_{name} must be set when WEBHOOKS_{other} is.")
    try:
        mail.parse_address(env["WEBHOOKS_MAIL_FROM"])
    except ValueError:
        raise ConfigError(
            "WEBHOOKS_MAIL_FROM must be an e-mail address, such as webhooks@example.com."
        ) from None
    try:
        server = mail.parse_server_url(
            env["WEBHOOKS_SMTP_URL"],
            env["WEBHOOKS_MAIL_FROM"],
            setting_files.existing_file(env, "WEBHOOKS_CA_BUNDLE"),
        )
    except ValueError:
        raise ConfigError(
            "WEBHOOKS_SMTP_URL must look like smtp://user:password@mail.example.com:587 or smtps://…"
        ) from None
    if not server.has_ascii_log_in:
        raise ConfigError("WEBHOOKS_SMTP_URL must name a user and a password of ASCII characters only.")
    return server
