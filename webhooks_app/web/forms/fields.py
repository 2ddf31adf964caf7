"""Fields and rules that several forms share."""

from collections.abc import Callable
from typing import Any

from wtforms import IntegerField
from wtforms.validators import ValidationError

from webhooks_app.transport import target_urls
from webhooks_app.transport.host_names import TargetRefused
from webhooks_app.transport.target_policy import TargetPolicy


class WholeNumberField(IntegerField):  # type: ignore[misc]
    """A whole number in a range; what was typed instead is kept and shown again."""

    def __init__(self, *, lowest: int, highest: int, empty: int | None, **options: Any) -> None:
        super().__init__(default=empty, **options)
        self.lowest, self.highest, self.empty = lowest, highest, empty

    def process_formdata(self, valuelist: list[str]) -> None:
        if not valuelist:
            return
        typed = valuelist[0].strip()
        self.data = self.empty
        if not typed:
            return
        is_number = typed.isascii() and typed.isdecimal() and len(typed) < 10
        if not is_number or not self.lowest <= int(typed) <= self.highest:
            raise ValueError(f"Enter a whole number from {self.lowest:,} to {self.highest:,}.")
        self.data = int(typed)


def checked(rule: Callable[[str], str], typed: str) -> str:
    """Return what the rule makes of it; its sentence becomes the field's error."""
    try:
        return rule(typed)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def checked_url(typed: str | None, policy: TargetPolicy) -> str:
    """Return the one spelling of the URL; what is wrong with it becomes the field's error."""
    url = (typed or "").strip()
    if not url:
        raise ValidationError("Enter the URL that Avra is to call.")
    try:
        return target_urls.normalise_url(url, policy)
    except TargetRefused as refused:
        raise ValidationError(str(refused)) from None
