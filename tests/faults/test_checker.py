"""The checker finds each kind of violation in fabricated facts."""

import base64
import hashlib
import hmac
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from faults.checker import check
from faults.evidence import (
    USUAL_ENDS,
    AcceptedEvent,
    Arrival,
    EventRow,
    Evidence,
    Key,
    QueueRow,
    StoredDelivery,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
KEY = b"k" * 32
BODY = b'{"data":{"batch_id":"one"}}'


def arrival(delivery_id: str = "dlv_1", body: bytes = BODY, *keys: bytes, at: datetime = NOW) -> Arrival:
    timestamp = str(int(at.timestamp()))
    macs = [
        hmac.digest(key, f"{delivery_id}.{timestamp}.".encode() + body, "sha256") for key in keys or [KEY]
    ]
    signature = " ".join("v1," + base64.b64encode(mac).decode() for mac in macs)
    return Arrival(delivery_id, hashlib.sha256(body).hexdigest(), timestamp, signature)


def good_facts() -> Evidence:
    """One event, accepted, sent once, recorded."""
    return Evidence(
        accepted=[AcceptedEvent("evt_1", 1)],
        arrivals=[arrival()],
        succeeded={"dlv_1"},
        events={"evt_1": EventRow(BODY, "one")},
        deliveries={"dlv_1": StoredDelivery("dlv_1", "evt_1", "ep_1", "delivered", 1, 1, "success")},
        queue={},
        attempts=Counter(dlv_1=1),
        keys={"ep_1": [Key(KEY, NOW)]},
        schedule_length=9,
        unrecorded_at_kills=Counter(),
        now=NOW,
        fan_out=1,
    )


def delivery_with(facts: Evidence, **values: Any) -> None:
    facts.deliveries["dlv_1"] = replace(facts.deliveries["dlv_1"], **values)


def test_the_checker_accepts_what_is_right() -> None:
    assert check(good_facts()).violations() == []


def test_the_checker_finds_a_lost_event() -> None:
    facts = good_facts()
    facts.accepted.append(AcceptedEvent("evt_2", 1))
    assert len(check(facts).lost) == 1


def test_the_checker_finds_an_event_without_its_deliveries() -> None:
    facts = good_facts()
    facts.events["evt_2"] = EventRow(BODY, "two")
    facts.accepted.append(AcceptedEvent("evt_2", 0))
    assert len(check(facts).lost) == 1


def test_the_checker_finds_a_delivery_that_never_arrived() -> None:
    facts = good_facts()
    facts.succeeded.clear()
    assert len(check(facts).lost) == 1


def test_the_checker_finds_a_delivery_given_up_too_early() -> None:
    facts = good_facts()
    delivery_with(facts, state="failed", attempts_in_schedule=9, last_outcome="http_5xx")
    assert len(check(facts).lost) == 1
    delivery_with(facts, attempts_in_schedule=10)
    assert check(facts).lost == []


@pytest.mark.parametrize("state", ["canceled", "held"])
def test_the_checker_finds_a_delivery_that_nobody_meant_to_end_so(state: str) -> None:
    facts = good_facts()
    delivery_with(facts, state=state)
    assert check(facts).lost == [f"dlv_1 ended {state}"]
    facts.allowed_ends = {"ep_2": USUAL_ENDS | {state}}
    assert len(check(facts).lost) == 1, "another endpoint's may"
    facts.allowed_ends = {"ep_1": USUAL_ENDS | {state}}
    assert check(facts).violations() == []


def test_the_checker_finds_what_is_stuck() -> None:
    facts = good_facts()
    delivery_with(facts, state="pending")
    assert len(check(facts).stuck) == 1, "pending, and nothing will send it"
    facts.queue["dlv_1"] = QueueRow(NOW - timedelta(seconds=5), 1)
    assert len(check(facts).stuck) == 1, "everything should have settled"
    facts.may_be_pending = True
    assert check(facts).stuck == []
    facts.queue["dlv_1"] = QueueRow(NOW - timedelta(minutes=5), 1)
    assert len(check(facts).stuck) == 1, "overdue"
    delivery_with(facts, state="delivered")
    assert len(check(facts).stuck) == 1, "delivered, and would be sent again"


def test_the_checker_finds_altered_bytes() -> None:
    facts = good_facts()
    facts.arrivals = [arrival(body=BODY + b" ")]
    assert len(check(facts).altered) == 1
    facts.arrivals = [arrival("dlv_unknown")]
    assert len(check(facts).altered) == 1


def test_the_checker_finds_a_wrong_signature() -> None:
    facts = good_facts()
    facts.arrivals = [arrival("dlv_1", BODY, b"other")]
    assert len(check(facts).unsigned) == 1
    facts.arrivals = [replace(arrival(), signature="")]
    assert len(check(facts).unsigned) == 1


def test_the_checker_finds_a_key_that_signs_after_its_time_or_not_within_it() -> None:
    facts, other, rotated_at = good_facts(), b"o" * 32, NOW + timedelta(minutes=1)
    facts.keys["ep_1"] = [Key(KEY, NOW, until=rotated_at), Key(other, rotated_at)]

    def is_right(seconds: float, *keys: bytes) -> bool:
        facts.arrivals = [arrival("dlv_1", BODY, *keys, at=rotated_at + timedelta(seconds=seconds))]
        return check(facts).unsigned == []

    assert is_right(-30, KEY)
    assert is_right(-1, KEY), "claimed just before the rotation"
    assert is_right(1, other)
    assert not is_right(1, KEY)
    assert not is_right(1, other, KEY)
    assert not is_right(-30, other)
    facts.keys["ep_1"] = [Key(KEY, NOW), Key(other, rotated_at)]
    assert is_right(1, other, KEY), "with an overlap both sign"
    assert not is_right(1, other)


def test_the_checker_finds_an_event_accepted_twice() -> None:
    facts = good_facts()
    facts.events["evt_2"] = EventRow(BODY, "one")
    assert len(check(facts).doubled) == 1


def test_the_checker_finds_a_duplicate_that_no_kill_explains() -> None:
    facts = good_facts()
    facts.arrivals.append(arrival())
    assert len(check(facts).unexplained) == 1
    facts.claims_lost = 1  # with a database that crashed
    assert check(facts).unexplained == []
    facts.claims_lost = 0
    delivery_with(facts, generation=2)  # a claim whose worker died
    assert check(facts).unexplained == []
    assert check(facts).violations() == [
        "duplicates: dlv_1 arrived 2 times: 2 claims, 1 recorded, 0 in flight at a kill"
    ]
    facts.unrecorded_at_kills["dlv_2"] = 5
    assert len(check(facts).violations()) == 1, "another delivery was in flight"
    facts.unrecorded_at_kills["dlv_1"] = 1
    assert check(facts).violations() == []
    facts.unrecorded_at_kills.clear()
    facts.claims_unseen = 1  # the database could not be asked
    assert check(facts).violations() == []


def test_the_checker_does_not_let_a_cut_hide_a_duplicate() -> None:
    facts = good_facts()
    facts.arrivals = [replace(arrival(), answer="cut"), arrival(), arrival()]
    facts.attempts["dlv_1"] = 2  # the cut one, recorded as such, and the success
    delivery_with(facts, generation=3)
    assert (check(facts).duplicates, check(facts).curl_repeats) == (1, 0)
    delivery_with(facts, generation=2)
    assert (check(facts).duplicates, check(facts).curl_repeats) == (0, 1)
    facts.arrivals.append(arrival())
    assert len(check(facts).unexplained) == 1


def test_the_checker_allows_for_a_request_that_libcurl_repeats_behind_a_claim_that_was_not_sent() -> None:
    facts = good_facts()
    delivery_with(facts, generation=2)  # of which one died before it sent anything
    facts.arrivals = [replace(arrival(), answer="cut"), arrival()]
    assert check(facts).violations() == []
    facts.arrivals = [replace(arrival(at=NOW + timedelta(seconds=9)), answer="cut"), arrival()]
    assert len(check(facts).beyond_kills) == 1, "another signature is another attempt"


def test_the_checker_finds_an_attempt_that_was_counted_twice() -> None:
    facts = good_facts()
    delivery_with(facts, attempt_count=1)
    assert check(facts).violations() == []
    delivery_with(facts, attempt_count=2)
    assert check(facts).violations() == ["miscounted: dlv_1 counts 2 attempts and has 1"]


def test_the_checker_finds_an_innocent_delivery_given_up() -> None:
    facts = good_facts()
    delivery_with(facts, state="failed", last_outcome="crashed")
    assert check(facts).violations() == ["given up: 1 failed as crashed, 0 were poisoned"]
    facts.poisoned = 1
    assert check(facts).violations() == []
