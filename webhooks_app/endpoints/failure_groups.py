"""Failures grouped by code and by what the receiver says, whatever ids and numbers it puts in. Pure."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from webhooks_app.core import text_display
from webhooks_app.core.outcome_descriptions import DESCRIPTIONS, OutcomeDescription, hint_for
from webhooks_app.core.outcomes import OutcomeClass

# So much of a text is looked at, and so much of it is shown.
READ_CHARACTERS, SHOWN_CHARACTERS = 2048, 200
# Stands for what differs from one failure to the next.
VARIES = "…"

_VARIABLE = re.compile(
    r"""
    [0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}   # a UUID
    | \d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?[\d.,]{0,10}(?:Z|[+-]\d\d:?\d\d)?      # a moment
    | \b[a-zA-Z]{2,12}[_-](?=[a-zA-Z]{0,40}\d)[a-zA-Z0-9]{4,64}\b                   # an id with a prefix
    | \b0x[0-9a-fA-F]{1,64}\b
    | \b(?=[0-9a-fA-F]{0,40}\d)[0-9a-fA-F]{8,128}\b                                 # hexadecimal digits
    | \b(?=[a-zA-Z]{0,40}\d)[a-zA-Z0-9+/=]{16,128}                                  # a token
    | \b\d+(?:[.,:]\d+){0,8}                                                        # numbers, times
    """,
    re.VERBOSE,
)
# Where APIs put the sentence, the most telling first; a body may nest it.
_MESSAGE_KEYS = ("message", "detail", "error_description", "error", "title", "reason", "errors", "msg")
_DEEPEST = 4
_HTML = re.compile(r"\s*<(?:!doctype|html|head|body|h1|title)\b", re.IGNORECASE)
_HTML_TITLE = re.compile(r"<(title|h1)[^>]{0,200}>([^<]{1,400})<", re.IGNORECASE)
_HTML_HIDDEN = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
_HTML_TAG = re.compile(r"<[^<>]{0,400}>")


class Failure(NamedTuple):
    """An attempt that failed; `text` is what the receiver said or, without an answer, what went wrong."""

    delivery_id: str
    event_type: str
    at: datetime
    outcome: OutcomeClass
    status: int | None
    text: str


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures that say the same; `newest` is the last of them. `text` has VARIES for what differs."""

    count: int
    newest: Failure
    text: str
    event_types: tuple[str, ...]

    @property
    def description(self) -> OutcomeDescription:
        return DESCRIPTIONS[self.newest.outcome]

    @property
    def code(self) -> str:
        """The status that it was answered with, else what went wrong."""
        is_answered = self.newest.status and self.newest.outcome.value.startswith("http_")
        return str(self.newest.status) if is_answered else self.description.label

    @property
    def hint(self) -> str:
        return hint_for(self.newest.outcome, self.newest.status)


def group(failures: Iterable[Failure]) -> list[FailureGroup]:
    """Return the groups, the largest first."""
    alike: dict[tuple[str, int | None, str], list[Failure]] = {}
    for failure in failures:
        alike.setdefault((failure.outcome, failure.status, normalize(failure.text)), []).append(failure)
    found = [_group(text, members) for (_, _, text), members in alike.items()]
    return sorted(found, key=lambda each: (-each.count, each.code, each.text))


def _group(normal_text: str, members: list[Failure]) -> FailureGroup:
    texts = {failure.text for failure in members}
    shown = texts.pop() if len(texts) == 1 else normal_text
    newest = max(members, key=lambda failure: failure.at)
    return FailureGroup(
        len(members), newest, shorten(shown), tuple(sorted({failure.event_type for failure in members}))
    )


def normalize(text: str) -> str:
    """Return the text with VARIES for ids, numbers, times and hexadecimal digits."""
    return _VARIABLE.sub(VARIES, " ".join(text[:READ_CHARACTERS].split()))


def shorten(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}{VARIES}"


def find_message(body: str) -> str:
    """Return the sentence in a body: of JSON its message, of HTML its title, else its beginning."""
    text = body[:READ_CHARACTERS]
    if text.lstrip()[:1] in ("{", "["):
        found = _message_of_json(body)
    elif _HTML.match(text):
        found = _message_of_html(text)
    else:
        found = text
    return text_display.flatten(" ".join((found or text).split()))[:READ_CHARACTERS]


def _message_of_json(body: str) -> str:
    try:
        return _message_in(json.loads(body), _DEEPEST)
    except (ValueError, RecursionError):  # cut, or none
        return ""


def _message_in(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and depth:
        return _message_in(value[0], depth - 1)
    if isinstance(value, dict) and depth:
        named = {str(key).lower(): part for key, part in value.items()}
        parts = (_message_in(named[key], depth - 1) for key in _MESSAGE_KEYS if key in named)
        return next((part for part in parts if part), "")
    return ""


def _message_of_html(text: str) -> str:
    if title := _HTML_TITLE.search(text):
        return title[2]
    return _HTML_TAG.sub(" ", _HTML_HIDDEN.sub(" ", text))
