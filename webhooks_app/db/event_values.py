"""The values of events by which they are found, as their columns hold them."""

from collections.abc import Sequence

from webhooks_app.core.case_folding import fold
from webhooks_app.db.models.event_tables import VALUE_COLUMNS


def columns(values: Sequence[str]) -> list[str | None]:
    """Return what the columns of VALUE_COLUMNS hold; of values that differ in case only, one."""
    folded: list[str | None] = list(dict.fromkeys(map(fold, values)))
    return folded + [None] * (len(VALUE_COLUMNS) - len(folded))
