"""Events that the suite itself sends through the API, and what it was answered."""

import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from faults.journal import Journal

_journal_lock = threading.Lock()


@dataclass
class ApiResponse:
    """What a producer was answered: the HTTP status, or 0 where the connection failed."""

    status: int
    duration_ms: float
    event_ids: list[str] = field(default_factory=list)


def post(url: str, body: dict[str, Any], *, token: str, journal: Path, timeout: float) -> ApiResponse:
    """Send events; a 202 goes into the journal as a producer's would."""
    began = time.monotonic()
    try:
        response = requests.post(
            url,
            data=json.dumps(body, separators=(",", ":")),  # as `failpoints.POISON` is looked for
            timeout=timeout,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
    except requests.RequestException:
        return ApiResponse(0, (time.monotonic() - began) * 1000)
    taken = (time.monotonic() - began) * 1000
    if response.status_code != 202:
        return ApiResponse(response.status_code, taken)
    accepted = response.json()
    events = accepted.get("events", [accepted])
    with _journal_lock:
        _append(journal, events, taken)
    return ApiResponse(202, taken, [event["id"] for event in events])


def _append(path: Path, events: list[dict[str, Any]], taken: float) -> None:
    journal = Journal(path)
    for event in events:
        journal.write(event=event["id"], deliveries=event["deliveries"], at=time.time(), ms=round(taken, 1))
    journal.close()
