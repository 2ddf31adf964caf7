"""Log lines: time, level, logger, event, then fields as key=value. Never bodies, secrets or tokens.

Whatever a value holds, a record stays one line, and its traceback lines of their own that no record begins
like: what could end a line, steer a terminal or turn the direction of text is written as an escape.
"""

import json
import logging
import math
import re
import sys
import threading
import time
from contextvars import ContextVar
from types import TracebackType
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# A record begins with its time, which stands at the left edge.
_CONTINUED = "  | "
# Whoever splits a line into its fields would split these values, too.
_NEEDS_QUOTES = re.compile(r'[\s="]|\A\Z')
_SHORT_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


# The id of the request that this thread or task is answering, which each record of it then has.
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)


class Formatter(logging.Formatter):
    """The one place where values become log lines."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        record.asctime = self.formatTime(record)
        line = escape(self.formatMessage(record)) + "".join(_text_field(*each) for each in _fields(record))
        return "\n".join([line, *map(_continue, self._details(record))])

    def _details(self, record: logging.LogRecord) -> list[str]:
        """Return the lines of the traceback and the stack, made anew: other handlers may keep theirs."""
        texts = [self.formatException(record.exc_info)] if record.exc_info else []
        if record.stack_info:
            texts.append(self.formatStack(record.stack_info))
        return "\n".join(texts).split("\n") if texts else []


def escape(text: str) -> str:
    """Return the text with an escape for each character that is not to be seen as itself. Pure."""
    return text if text.isprintable() else "".join(map(_escape_character, text))


def _escape_character(character: str) -> str:
    if character.isprintable():
        return character
    if short := _SHORT_ESCAPES.get(character):
        return short
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


class JsonFormatter(Formatter):
    """The same for programs: a JSON object a line, in ASCII, with a traceback as one text."""

    def format(self, record: logging.LogRecord) -> str:
        written: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = {key: _json_value(value) for key, value in _fields(record) if key not in written}
        details = self._details(record)
        return json.dumps(written | fields | ({"traceback": "\n".join(details)} if details else {}))


def _json_value(value: Any) -> Any:
    is_finite = not isinstance(value, float) or math.isfinite(value)  # JSON has no others
    return value if value is None or (isinstance(value, (bool, int, float)) and is_finite) else str(value)


def _fields(record: logging.LogRecord) -> list[tuple[str, Any]]:
    fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    if (request_id := REQUEST_ID.get()) is not None:
        fields.setdefault("request_id", request_id)
    return list(fields.items())


def _text_field(key: str, value: Any) -> str:
    return f" {escape(key)}={_field_value(str(value))}"


def _field_value(text: str) -> str:
    if _NEEDS_QUOTES.search(text):
        text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return escape(text)


def _continue(line: str) -> str:
    return _CONTINUED + escape(line)


def set_up(level: str, *, is_json: bool = False) -> None:
    """Log to stderr: the platform from `level` up, libraries from WARNING up, and what nobody caught."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if is_json else Formatter())
    logging.basicConfig(level="WARNING", handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("webhooks_app").setLevel(level)
    # The one of two schedulers that does not hold the lock would warn of it each second.
    logging.getLogger("rq_scheduler").setLevel("ERROR")
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("webhooks_app").critical("uncaught", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is not None and failure.exc_type is not SystemExit:
        _log_uncaught(failure.exc_type, failure.exc_value, failure.exc_traceback)
