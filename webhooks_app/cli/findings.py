"""What `doctor` finds."""

from dataclasses import dataclass
from enum import StrEnum


class FindingStatus(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one check; `subject` is what was looked at."""

    subject: str
    status: FindingStatus
    text: str
