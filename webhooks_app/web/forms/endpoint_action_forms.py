"""The forms of what is done with an endpoint: its use, its secret, and test events."""

from flask_wtf import FlaskForm
from wtforms import StringField, TextAreaField
from wtforms.validators import ValidationError

from webhooks_app.core import json_parsing, text_display
from webhooks_app.endpoints.signing_secrets import OVERLAPS
from webhooks_app.events.submissions import NewEvent
from webhooks_app.extensions import services
from webhooks_app.transport.target_policy import TargetPolicy
from webhooks_app.web.forms.fields import checked_url

LARGEST_TEST_BYTES = 256 * 1024  # as for events that come through the API
OVERLAP_LABELS = {"now": "No time: stop it now", "1h": "1 hour", "24h": "24 hours", "7d": "7 days"}


class EnableForm(FlaskForm):  # type: ignore[misc]
    held = StringField()

    def __init__(self, held_count: int) -> None:
        self.held_count = held_count
        super().__init__()

    def validate_held(self, field: StringField) -> None:
        if self.held_count and field.data not in ("send", "discard"):
            raise ValidationError("Choose what happens to the held deliveries.")


class DeleteForm(FlaskForm):  # type: ignore[misc]
    confirmation = StringField()

    def __init__(self, name: str) -> None:
        self.expected = name
        super().__init__()

    def validate_confirmation(self, field: StringField) -> None:
        # Browsers and people collapse white space; what matters is that the right one was meant.
        if (field.data or "").split() != self.expected.split():
            raise ValidationError(f"Type the name as it is written above: {self.expected}")


class UrlForm(FlaskForm):  # type: ignore[misc]
    """The URL alone, judged as the settings judge it; `normal_url` is what to save."""

    url = StringField("URL")

    def __init__(self, policy: TargetPolicy) -> None:
        self.policy = policy
        super().__init__()

    def validate_url(self, field: StringField) -> None:
        self.normal_url = checked_url(field.data, self.policy)


class RotateForm(FlaskForm):  # type: ignore[misc]
    overlap = StringField(default="24h")

    def validate_overlap(self, field: StringField) -> None:
        if field.data not in OVERLAPS:
            raise ValidationError("Choose one of the times listed.")


class TestForm(FlaskForm):  # type: ignore[misc]
    """A test event: `new_event()` is what to send once `validate()` has passed."""

    event_type = StringField("Event")
    data = TextAreaField("Data")

    def validate_event_type(self, field: StringField) -> None:
        if field.data not in services().catalog.names:
            raise ValidationError("The catalog has no such event. Choose from the list.")

    def validate_data(self, field: TextAreaField) -> None:
        raw = (field.data or "").encode("utf-8", "surrogatepass")
        if len(raw) > LARGEST_TEST_BYTES:
            raise ValidationError(f"The data may have {LARGEST_TEST_BYTES // 1024} KiB at most.")
        try:
            self._data = json_parsing.parse(raw)
        except json_parsing.InvalidJson as error:
            raise ValidationError(str(error).replace("The body", "The data")) from None
        if not isinstance(self._data, dict):
            raise ValidationError("The data must be a JSON object, in braces.")
        problems = services().catalog.violations(self.event_type.data or "", self._data)
        if problems and self.event_type.data in services().catalog.names:
            raise ValidationError("; ".join(f"{each.field} {each.message}" for each in problems[:5]) + ".")

    def new_event(self) -> NewEvent:
        """Return the event, its numbers as typed but without the space that makes it easy to edit."""
        assert isinstance(self._data, dict)
        raw_data = text_display.compact_json(self.data.data or "").encode()
        name = str(self.event_type.data)
        return NewEvent(name, self._data, raw_data, services().catalog.indexed_values(name, self._data))
