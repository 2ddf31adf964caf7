"""Rows that a relay has claimed, and what came of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A claimed row; `was_handed_over` tells that it may have reached the platform before.

    `failing_since` is when the platform first did not take it although it answered otherwise.
    """

    id: str
    type: str
    data: str
    was_handed_over: bool
    failing_since: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """Rows that are this relay's until `until`, in milliseconds; how many were set aside as unknown."""

    token: str
    rows: Sequence[OutboxRow]
    until: int
    unknown: int

    @property
    def is_of_failing(self) -> bool:
        """Whether it is one row that has been failing."""
        return any(row.failing_since is not None for row in self.rows)


@dataclass(frozen=True, slots=True)
class Failing:
    """A row that may itself be why it is not taken: since when, and when it is sent again; None for never."""

    reason: str
    since: int
    due_at: int | None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of claimed rows: event ids and reasons by row id; those that were not taken now.

    `released` certainly were not accepted; of `uncertain` and `failing` ones that is not known.
    """

    accepted: Mapping[str, str]
    rejected: Mapping[str, str]
    released: Sequence[OutboxRow] = ()
    uncertain: Sequence[OutboxRow] = ()
    failing: Mapping[str, Failing] = field(default_factory=dict)
