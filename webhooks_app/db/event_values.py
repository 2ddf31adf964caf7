"""The values of events by which they are found, as their columns hold them."""

from collections.abc import Sequence

from webhooks_app.core.case_folding import fold
from webhooks_app.db.models.event_tables import VALUE_COLUMNS


def columns(values: Sequence[str]) -> list[str | None]:
    """Return what the columns of VALUE_COLUMNS hold; of values that differ in case only, one."""
    folded: list[str | None] = list(dict.fromkeys(map(fold, values)))
    return folded + [None] * (len(VALUE_COLUMNS) - len(folded))


def listed(values: Sequence[str], of_columns: Sequence[str | None]) -> Sequence[str]:
    """Return what the list of an event's values holds beside its columns: nothing where it is the same."""
    return [] if list(values) == [each for each in of_columns if each is not None] else values


def all_of(listed_values: list[str] | None, of_columns: Sequence[str | None]) -> list[str] | None:
    """Return the values as they were sent, from an event's list and columns; None for unknown ones."""
    return [each for each in of_columns if each is not None] if listed_values == [] else listed_values
