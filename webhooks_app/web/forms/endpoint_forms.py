"""The form of an endpoint, new or there already."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from flask_wtf import FlaskForm
from wtforms import (
    FieldList,
    Form,
    FormField,
    SelectMultipleField,
    StringField,
)
from wtforms.validators import ValidationError

from webhooks_app.accounts import input_rules
from webhooks_app.accounts.input_rules import LONGEST_NAME
from webhooks_app.core import text_display
from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints import custom_headers
from webhooks_app.endpoints.endpoint_values import (
    DEFAULT_TIMEOUT_MS,
    HIGHEST_RATE,
    LONGEST_TIMEOUT_MS,
    EndpointValues,
)
from webhooks_app.extensions import services
from webhooks_app.transport.target_policy import TargetPolicy
from webhooks_app.web.forms.fields import WholeNumberField, checked, checked_url


class HeaderForm(Form):  # type: ignore[misc]
    name = StringField()
    value = StringField()


class EndpointForm(FlaskForm):  # type: ignore[misc]
    """Of a new endpoint or, given `endpoint`, of that one; `stored` are its custom headers in clear.

    `timeout_ms` is what a new one begins with.
    """

    url = StringField("Endpoint URL")
    name = StringField("Name")
    scope = StringField("Which events", default="chosen")
    events = SelectMultipleField("Events", validate_choice=False)
    timeout = WholeNumberField(
        label="Time-out", lowest=1, highest=LONGEST_TIMEOUT_MS // 1000, empty=DEFAULT_TIMEOUT_MS // 1000
    )
    rate = WholeNumberField(label="Rate limit", lowest=1, highest=HIGHEST_RATE, empty=None)
    headers = FieldList(FormField(HeaderForm), "Custom headers")

    def __init__(
        self,
        policy: TargetPolicy,
        endpoint: Endpoint | None = None,
        stored: Sequence[tuple[str, str]] = (),
        *,
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
        **options: Any,
    ) -> None:
        self.policy = policy
        self.stored = {name.lower(): value for name, value in stored}
        self.stored_url = endpoint.url if endpoint else ""
        # What has left the catalog since it was chosen may stay.
        self.stored_events = endpoint.event_types if endpoint else []
        # By row; a row's problem is shown below it.
        self.header_problems: dict[int, str] = {}
        typed = _typed(endpoint, stored) if endpoint else {"timeout": timeout_ms // 1000}
        super().__init__(data=typed, **options)
        if not self.is_submitted():
            self.header_problems = _unsent(stored)

    @property
    def invalid(self) -> list[Any]:
        return [field for field in self if field.name != "csrf_token" and field.errors]

    @property
    def left_events(self) -> list[str]:
        """The endpoint's event types that the catalog no longer has."""
        return services().catalog.missing(self.stored_events)

    def edit_rows(self, posted: Mapping[str, str]) -> bool:
        """Add or remove a header row, if that is the button that was pressed."""
        rows: list[Any] = self.headers.entries
        if "add-header" in posted and len(rows) < custom_headers.MOST_HEADERS:
            self.headers.append_entry()
        if "remove-header" in posted:
            # By position: the rows that came in were numbered anew.
            rows[:] = [row for at, row in enumerate(rows) if str(at) != posted["remove-header"]]
        return "add-header" in posted or "remove-header" in posted

    def validate_url(self, field: StringField) -> None:
        self.normal_url = checked_url(field.data, self.policy)

    def validate_name(self, field: StringField) -> None:
        if (field.data or "").strip():  # without one it is called by its host
            checked(input_rules.check_name, field.data)

    def validate_scope(self, field: StringField) -> None:
        if field.data not in ("all", "chosen"):
            raise ValidationError("Choose all events, or those of the list.")

    def validate_events(self, field: SelectMultipleField) -> None:
        chosen = set(field.data or ())
        if unknown := services().catalog.missing(chosen.difference(self.stored_events)):
            raise ValidationError(f"The catalog has no event “{unknown[0][:64]}”. Choose from the list.")
        if self.scope.data == "chosen" and not chosen:
            raise ValidationError("Choose at least one event, or all of them.")

    def validate_headers(self, field: FieldList) -> None:
        for position, (name, value) in enumerate(self._rows()):
            if not name and not value:
                continue
            if value == text_display.MASK and not self._keeps_value(name):
                self._ask_for_value(position, name)
            elif problem := custom_headers.header_problem(name, self._value(name, value)):
                self.header_problems[position] = problem
        if self.header_problems:
            raise ValidationError("A header cannot be sent as it is.")
        if problem := custom_headers.header_list_problem(self._headers()):
            raise ValidationError(problem)

    def ask_for_values(self) -> None:
        """Refuse the values that are to stay: the endpoint was changed meanwhile and leads elsewhere."""
        for position, (name, value) in enumerate(self._rows()):
            if value == text_display.MASK:
                self._ask_for_value(position, name)
        self.headers.errors = ["The endpoint was changed meanwhile."]

    def values(self) -> EndpointValues:
        """Return what to save, once `validate()` has passed."""
        return EndpointValues(
            name=(self.name.data or "").strip() or host_name(self.normal_url)[:LONGEST_NAME],
            url=self.normal_url,
            all_events=self.scope.data == "all",
            event_types=sorted(set(self.events.data or ())),
            timeout_ms=int(self.timeout.data or 0) * 1000,
            rate_per_second=self.rate.data,
            headers=[
                (name, None if value == text_display.MASK else value)
                for name, value in self._rows()
                if name or value
            ],
        )

    def _rows(self) -> list[tuple[str, str]]:
        return [
            ((entry.data["name"] or "").strip(), entry.data["value"] or "") for entry in self.headers.entries
        ]

    def _headers(self) -> list[tuple[str, str]]:
        return [(name, self._value(name, value)) for name, value in self._rows() if name or value]

    def _keeps_value(self, name: str) -> bool:
        """Return whether the stored value may stay: it is a secret between the platform and one server."""
        url = getattr(self, "normal_url", self.stored_url)  # one that was refused leads nowhere yet
        return name.lower() in self.stored and custom_headers.is_same_server(url, self.stored_url)

    def _ask_for_value(self, position: int, name: str) -> None:
        self.headers.entries[position].form.value.data = ""
        why = "The URL leads to another server now. " if name.lower() in self.stored else ""
        self.header_problems[position] = f"{why}Enter the value of {name or 'this header'} again."

    def _value(self, name: str, value: str) -> str:
        return self.stored.get(name.lower(), value) if value == text_display.MASK else value


def host_name(url: str) -> str:
    return urlsplit(url).netloc


def _unsent(stored: Sequence[tuple[str, str]]) -> dict[int, str]:
    """Return what to say below headers that were saved before their names became reserved."""
    return {
        position: f"{name} is not sent any more: receivers could take it for a header of the platform."
        for position, (name, _) in enumerate(stored)
        if custom_headers.is_reserved(name)
    }


def _typed(endpoint: Endpoint, stored: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "url": endpoint.url,
        "name": endpoint.name,
        "scope": "all" if endpoint.all_events else "chosen",
        "events": endpoint.event_types,
        "timeout": endpoint.timeout_ms // 1000,
        "rate": endpoint.rate_per_second,
        "headers": [{"name": name, "value": value} for name, value in custom_headers.mask_values(stored)],
    }
