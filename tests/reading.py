"""What tests read from answers, pages and processes; each fails the test where there is nothing to read."""

import re
from typing import IO, Any, Protocol

from werkzeug.test import TestResponse


def json_of(answer: TestResponse) -> Any:
    """Return the parsed body of an answer that is of type JSON."""
    assert answer.is_json, answer.text
    return answer.json


def captured(pattern: str, text: str, flags: re.RegexFlag = re.NOFLAG) -> str:
    """Return what the first group of the pattern stands for where it first matches."""
    found = re.search(pattern, text, flags)
    assert found, f"nothing matches {pattern}"
    return found[1]


class HasOutput(Protocol):
    @property
    def stdout(self) -> IO[str] | None: ...


def output_of(process: HasOutput) -> IO[str]:
    """Return the standard output of a process that was started with a pipe for it."""
    assert process.stdout is not None
    return process.stdout
