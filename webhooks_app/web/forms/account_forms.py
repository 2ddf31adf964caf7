"""The forms about workspaces, the people in them and their API tokens."""

from datetime import datetime, timedelta

from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, PasswordField, SelectMultipleField, StringField, TextAreaField
from wtforms.validators import ValidationError

from webhooks_app.accounts import email_addresses, input_rules
from webhooks_app.accounts.token_scopes import FIRST_SCOPES, TokenScope
from webhooks_app.accounts.workspaces import LONGEST_RETENTION_DAYS, WorkspaceValues
from webhooks_app.core.rate_limit import FASTEST_RATE, LARGEST_BURST
from webhooks_app.db.models import Role, Workspace
from webhooks_app.endpoints.endpoint_values import DEFAULT_TIMEOUT_MS, LONGEST_TIMEOUT_MS
from webhooks_app.web.forms.fields import WholeNumberField, checked

MOST_ADDRESSES = 20
# How long a new token is good, by what the form sends.
LIFETIMES = {
    "": ("No end", None),
    "30": ("30 days", timedelta(days=30)),
    "90": ("90 days", timedelta(days=90)),
    "365": ("A year", timedelta(days=365)),
}


def check_name(_form: FlaskForm, field: StringField) -> None:
    if not (field.data or "").strip():
        raise ValidationError(f"Enter a {field.label.text.lower()}.")
    field.data = checked(input_rules.check_name, field.data)


def check_password(_form: FlaskForm, field: PasswordField) -> None:
    checked(input_rules.check_password, field.data or "")


class NameForm(FlaskForm):  # type: ignore[misc]
    """Of a workspace or a person."""

    name = StringField("Name", validators=[check_name])


class RateLimitForm(FlaskForm):  # type: ignore[misc]
    """Of the rate limit of an API token, in events."""

    rate = WholeNumberField(label="Rate limit", lowest=1, highest=FASTEST_RATE, empty=None)
    burst = WholeNumberField(label="At once", lowest=1, highest=LARGEST_BURST, empty=None)

    def validate_burst(self, field: WholeNumberField) -> None:
        if field.data is not None and self.rate.data is None and not self.rate.errors:
            raise ValidationError("Enter how many a second, too.")


class TokenForm(RateLimitForm):
    """Of a new API token."""

    name = StringField("Name", validators=[check_name])
    scopes = SelectMultipleField("What it may do", default=sorted(FIRST_SCOPES), validate_choice=False)
    lifetime = StringField("Good for", default="")

    def validate_scopes(self, field: SelectMultipleField) -> None:
        if not field.data:
            raise ValidationError("Choose what the token may do.")
        if not set(field.data) <= set(TokenScope):
            raise ValidationError("Choose from the list.")

    def validate_lifetime(self, field: StringField) -> None:
        if field.data not in LIFETIMES:
            raise ValidationError("Choose one of the times listed.")

    def chosen_scopes(self) -> list[TokenScope]:
        return [TokenScope(each) for each in self.scopes.data]

    def expires_at(self, now: datetime) -> datetime | None:
        _, lifetime = LIFETIMES[self.lifetime.data or ""]
        return now + lifetime if lifetime else None


class InviteForm(FlaskForm):  # type: ignore[misc]
    email = StringField("E-mail")
    role = StringField("Role", default=Role.VIEWER.value)

    def validate_email(self, field: Field) -> None:
        field.data = checked(email_addresses.normalize, field.data or "")

    def validate_role(self, field: Field) -> None:
        check_role(field)


class RoleForm(FlaskForm):  # type: ignore[misc]
    role = StringField("Role")

    def validate_role(self, field: Field) -> None:
        check_role(field)


def check_role(field: Field) -> None:
    if field.data not in {role.value for role in Role}:
        raise ValidationError("Choose one of the roles listed.")


class PasswordForm(FlaskForm):  # type: ignore[misc]
    """The view checks the current one, which takes a while and has to be counted."""

    current = PasswordField("Current password")
    new = PasswordField("New password", validators=[check_password])


class ConfirmationForm(FlaskForm):  # type: ignore[misc]
    """The view checks the password, which takes a while and has to be counted."""

    current = PasswordField("Current password")


class NewPasswordForm(FlaskForm):  # type: ignore[misc]
    """Of somebody who has a link to set one."""

    password = PasswordField("New password", validators=[check_password])


class AskForResetForm(FlaskForm):  # type: ignore[misc]
    email = StringField("E-mail")

    def validate_email(self, field: Field) -> None:
        field.data = checked(email_addresses.normalize, field.data or "")


class AcceptForm(FlaskForm):  # type: ignore[misc]
    """Of somebody invited who has no account yet."""

    name = StringField("Name", validators=[check_name])
    password = PasswordField("Password", validators=[check_password])


class SettingsForm(FlaskForm):  # type: ignore[misc]
    name = StringField("Name", validators=[check_name])
    retention = WholeNumberField(label="Retention", lowest=1, highest=LONGEST_RETENTION_DAYS, empty=90)
    payloads = WholeNumberField(
        label="Payload retention", lowest=1, highest=LONGEST_RETENTION_DAYS, empty=None
    )
    timeout = WholeNumberField(
        label="Default time-out",
        lowest=1,
        highest=LONGEST_TIMEOUT_MS // 1000,
        empty=DEFAULT_TIMEOUT_MS // 1000,
    )
    addresses = TextAreaField("Notice addresses")
    second_factor = BooleanField("Two-factor authentication")

    def __init__(self, workspace: Workspace) -> None:
        typed = {
            "name": workspace.name,
            "retention": workspace.retention_days,
            "payloads": workspace.payload_days,
            "timeout": workspace.default_timeout_ms // 1000,
            "addresses": "\n".join(workspace.notice_addresses),
            "second_factor": workspace.requires_second_factor,
        }
        super().__init__(data=typed)

    @property
    def invalid(self) -> list[Field]:
        return [field for field in self if field.name != "csrf_token" and field.errors]

    def validate_payloads(self, field: WholeNumberField) -> None:
        if field.data and self.retention.data and field.data > self.retention.data:
            raise ValidationError("Payloads cannot be kept longer than the deliveries that they are of.")

    def validate_addresses(self, field: TextAreaField) -> None:
        self._normal: dict[str, None] = {}
        for line in self._addresses():
            try:
                self._normal[email_addresses.normalize(line)] = None
            except ValueError:
                message = f"“{line[:80]}” is no e-mail address. Enter one on each line."
                raise ValidationError(message) from None
        if len(self._normal) > MOST_ADDRESSES:
            raise ValidationError(f"Enter {MOST_ADDRESSES} addresses at most.")

    def values(self) -> WorkspaceValues:
        """Return what to save, once `validate()` has passed."""
        return WorkspaceValues(
            name=str(self.name.data),
            retention_days=int(self.retention.data or 0),
            payload_days=self.payloads.data,
            default_timeout_ms=int(self.timeout.data or 0) * 1000,
            notice_addresses=list(self._normal),
            requires_second_factor=bool(self.second_factor.data),
        )

    def _addresses(self) -> list[str]:
        lines = (line.strip() for line in (self.addresses.data or "").replace(",", "\n").splitlines())
        return [line for line in lines if line]
