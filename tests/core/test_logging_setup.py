"""Log lines: one a record, whatever its values hold."""

import json
import logging
import math
import subprocess
import sys
from enum import StrEnum
from typing import Any

import pytest

from webhooks_app.core.logging_setup import REQUEST_ID, Formatter, JsonFormatter, escape


class Level(StrEnum):
    HIGH = "high"


FORGED = "\n2026-01-01T00:00:00.000Z CRITICAL webhooks_app forged"
# Ends of lines for one reader or another, terminal codes of seven and eight bits, overrides of direction,
# what cannot be seen, half a character, and what stands for no character at all.
HOSTILE = [
    *("\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"),
    *("\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x08", "\x00", "\x7f", "\t"),
    *("\u202e", "\u202a", "\u2066", "\u2069", "\u061c", "\u200e", "\u200f"),
    *("\u200b", "\u00ad", "\ufeff", "\U000e0041", "\ud800", "\udcff", "\uffff"),
]


def write(message: str, *args: object, error: BaseException | None = None, **extra: Any) -> str:
    """Return what is written of a record."""
    exc_info = (type(error), error, error.__traceback__) if error else None
    logger = logging.getLogger("webhooks_app.tests")
    record = logger.makeRecord(logger.name, logging.INFO, "here.py", 1, message, args, exc_info, extra=extra)
    return Formatter().format(record)


def test_a_record_is_its_event_and_then_its_fields() -> None:
    line = write("run_finished", claimed=1, recorded=1)
    assert line.partition(" INFO ")[2] == "webhooks_app.tests run_finished claimed=1 recorded=1"


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_no_value_ends_a_line_or_steers_a_terminal(hostile: str) -> None:
    value = f"a{hostile}{FORGED}"
    error = ValueError(value)
    error.add_note(value)
    text = write(f"got {value} %s", value, error=error, path=value, **{f"key{hostile}": value})
    record, *traceback = text.split("\n")
    assert all(line.isprintable() for line in (record, *traceback))
    assert all(line.startswith("  | ") for line in traceback)
    assert text.encode()


def test_a_value_that_could_pass_for_more_fields_is_quoted() -> None:
    line = write("refused", path='/x" level=ERROR', empty="", back="a\\b c")
    assert line.endswith(r' refused path="/x\" level=ERROR" empty="" back="a\\b c"')


def as_json(message: str, *, error: BaseException | None = None, **extra: Any) -> dict[str, Any]:
    """Return the one line of JSON that is written of a record."""
    exc_info = (type(error), error, error.__traceback__) if error else None
    record = logging.getLogger("webhooks_app.tests").makeRecord(
        "webhooks_app.tests", logging.INFO, "here.py", 1, message, (), exc_info, extra=extra
    )
    line = JsonFormatter().format(record)
    assert line.isascii() and line.isprintable()
    found: dict[str, Any] = json.loads(line)
    return found


def test_for_programs_a_record_is_an_object() -> None:
    found = as_json(
        "run_finished", claimed=1, share=0.5, is_all=True, who=None, cause=Level.HIGH, level="forged"
    )

    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "INFO",
        "logger": "webhooks_app.tests",
        "message": "run_finished",
        "claimed": 1,
        "share": 0.5,
        "is_all": True,
        "who": None,
        "cause": "high",
    }


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_no_value_ends_a_line_of_json(hostile: str) -> None:
    error = ValueError(hostile)
    found = as_json(f"a{hostile}", error=error, **{f"key{hostile}": hostile, "odd": math.nan})

    assert found["message"] == f"a{hostile}"
    assert found[f"key{hostile}"] == hostile
    assert "ValueError" in found["traceback"]
    assert found["odd"] == "nan"


def test_a_record_has_the_id_of_the_request_that_it_is_about() -> None:
    token = REQUEST_ID.set("req-1")
    try:
        assert write("failed").endswith(" failed request_id=req-1")
        assert as_json("failed")["request_id"] == "req-1"
    finally:
        REQUEST_ID.reset(token)
    assert "request_id" not in write("failed")


def test_a_traceback_is_made_anew_whatever_another_handler_kept() -> None:
    record = logging.makeLogRecord({"msg": "failed", "exc_info": (ValueError, ValueError("x"), None)})
    record.exc_text = f"kept{FORGED}"
    assert "forged" not in Formatter().format(record)


def test_a_stack_that_was_asked_for_follows_the_record() -> None:
    record = logging.makeLogRecord({"msg": "here", "stack_info": "Stack:\n  one"})
    assert Formatter().format(record).split("\n")[1:] == ["  | Stack:", "  |   one"]


def test_what_is_to_be_seen_as_itself_stays() -> None:
    assert escape("Zoë 東京 🙂 a/b") == "Zoë 東京 🙂 a/b"
    assert escape("a\nb\t\x1b\u202e\U000e0041") == r"a\nb\t\x1b\u202e\U000e0041"


@pytest.mark.parametrize("where", ["raise error", "threading.Thread(target=fail).start()"])
def test_what_nobody_caught_is_logged_as_everything_else(where: str) -> None:
    program = f"""
import threading
from webhooks_app.core import logging_setup
logging_setup.set_up("INFO")
error = ValueError("a\\n2026 forged\\x1b[2J")
def fail():
    raise error
{where}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    record, *traceback = done.stderr.rstrip("\n").split("\n")
    assert record.endswith(" CRITICAL webhooks_app uncaught")
    assert traceback[-2:] == ["  | ValueError: a", r"  | 2026 forged\x1b[2J"]
    assert all(line.startswith("  | ") for line in traceback)
