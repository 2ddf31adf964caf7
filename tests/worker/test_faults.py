"""The short, seeded part of the fault suite, and the proof that its checker can fail.

The whole suite is `make faults`. Real processes of the platform run here, forked and killed by `faults`.
"""

import base64
import hashlib
import hmac
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from faults import receiver, runner, scenarios, storm
from faults.checker import USUAL_ENDS, Arrival, DeliveryRow, EventRow, Facts, Key, Promise, QueueRow, check
from faults.databases import SharedPostgresql, Sqlite
from faults.harness import Nursery
from faults.registry import ALL, Options
from faults.system import Stack
from tests.conftest import TESTER, Workspace
from tests.receivers import Answer, Receiver
from tests.worker.test_delivery import LEASE, attempts, deliveries, make_due
from webhooks_app.core import clock
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.deliveries import replays
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker import claims
from webhooks_app.worker.engine import DeliveryEngine
from webhooks_app.worker.recording import Finished, record

SEED, KILLS = "7", 8
CHEAP = ["redis-gone-at-accept", "hundred-jobs"]

NOW = datetime(2030, 1, 1, tzinfo=UTC)
KEY = b"k" * 32
BODY = b'{"data":{"batch_id":"one"}}'

assert scenarios  # imported, they are in ALL


@pytest.fixture(scope="module")
def nursery(scratch: Path) -> Iterator[Nursery]:
    if sys.platform != "linux":
        pytest.skip("the fault suite forks and reads /proc; run it on Linux")
    folder = scratch / "faults"
    folder.mkdir()
    running = Nursery(folder)
    yield running
    running.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def stack(request: pytest.FixtureRequest, nursery: Nursery, scratch: Path) -> Iterator[Stack]:
    folder = scratch / "faults" / request.param
    folder.mkdir()
    database: Sqlite | SharedPostgresql = Sqlite(folder)
    if request.param == "postgresql":
        database = SharedPostgresql(request.getfixturevalue("postgresql_url"))
    running = Stack(folder, nursery, database)
    running.start()
    yield running
    running.stop()
    shutil.rmtree(folder)


@pytest.mark.long
def test_a_short_storm_and_the_cheap_faults_lose_nothing(stack: Stack) -> None:
    for name in ["storm", *CHEAP]:
        report = runner.run(stack, ALL[name], Options(SEED, KILLS))
        report.print()
        assert report.violations == [], f"python -m faults --only {name} --seed {SEED} --kills {KILLS}"


# The checker, with fabricated facts


def arrival(delivery_id: str = "dlv_1", body: bytes = BODY, *keys: bytes, at: datetime = NOW) -> Arrival:
    timestamp = str(int(at.timestamp()))
    macs = [
        hmac.digest(key, f"{delivery_id}.{timestamp}.".encode() + body, "sha256") for key in keys or [KEY]
    ]
    signature = " ".join("v1," + base64.b64encode(mac).decode() for mac in macs)
    return Arrival(delivery_id, hashlib.sha256(body).hexdigest(), timestamp, signature)


def good_facts() -> Facts:
    """One event, accepted, sent once, recorded."""
    return Facts(
        promises=[Promise("evt_1", 1)],
        arrivals=[arrival()],
        succeeded={"dlv_1"},
        events={"evt_1": EventRow(BODY, "one")},
        deliveries={"dlv_1": DeliveryRow("dlv_1", "evt_1", "ep_1", "delivered", 1, 1, "success")},
        queue={},
        attempts=Counter(dlv_1=1),
        keys={"ep_1": [Key(KEY, NOW)]},
        schedule_length=9,
        in_flight_at_kills=0,
        now=NOW,
        fan_out=1,
    )


def delivery_with(facts: Facts, **values: object) -> None:
    facts.deliveries["dlv_1"] = replace(facts.deliveries["dlv_1"], **values)


def test_the_checker_accepts_what_is_right() -> None:
    assert check(good_facts()).violations() == []


def test_the_checker_finds_a_lost_event() -> None:
    facts = good_facts()
    facts.promises.append(Promise("evt_2", 1))
    assert len(check(facts).lost) == 1


def test_the_checker_finds_an_event_without_its_deliveries() -> None:
    facts = good_facts()
    facts.events["evt_2"] = EventRow(BODY, "two")
    facts.promises.append(Promise("evt_2", 0))
    assert len(check(facts).lost) == 1


def test_the_checker_finds_a_delivery_that_never_arrived() -> None:
    facts = good_facts()
    facts.succeeded.clear()
    assert len(check(facts).lost) == 1


def test_the_checker_finds_a_delivery_given_up_too_early() -> None:
    facts = good_facts()
    delivery_with(facts, state="failed", tries=9, last_outcome="http_5xx")
    assert len(check(facts).lost) == 1
    delivery_with(facts, tries=10)
    assert check(facts).lost == []


@pytest.mark.parametrize("state", ["canceled", "held"])
def test_the_checker_finds_a_delivery_that_nobody_meant_to_end_so(state: str) -> None:
    facts = good_facts()
    delivery_with(facts, state=state)
    assert check(facts).lost == [f"dlv_1 ended {state}"]
    facts.may_end = {"ep_2": USUAL_ENDS | {state}}
    assert len(check(facts).lost) == 1, "another endpoint's may"
    facts.may_end = {"ep_1": USUAL_ENDS | {state}}
    assert check(facts).violations() == []


def test_the_checker_finds_what_is_stuck() -> None:
    facts = good_facts()
    delivery_with(facts, state="pending")
    assert len(check(facts).stuck) == 1, "pending, and nothing will send it"
    facts.queue["dlv_1"] = QueueRow(NOW - timedelta(seconds=5), 1)
    assert len(check(facts).stuck) == 1, "everything should have settled"
    facts.may_wait = True
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
    assert check(facts).violations() == ["duplicates: 1 with 0 in flight at the kills"]
    facts.in_flight_at_kills = 1
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


def test_the_checker_finds_an_innocent_delivery_given_up() -> None:
    facts = good_facts()
    delivery_with(facts, state="failed", last_outcome="crashed")
    assert check(facts).violations() == ["given up: 1 failed as crashed, 0 were poisoned"]
    facts.poisoned = 1
    assert check(facts).violations() == []


# What a seed fixes


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_seed_decides_every_blow_before_the_storm(database: str) -> None:
    planned = storm.plan("7", database, 50)
    assert planned == storm.plan("7", database, 50)
    assert planned != storm.plan("8", database, 50)
    assert planned[:20] == storm.plan("7", database, 500)[:20]
    others = {*storm.OTHERS, *storm.ON_SQLITE}
    assert sum(blow.kind not in others for blow in planned) == 50


def test_the_receiver_answers_by_what_stays_from_run_to_run() -> None:
    answers = [receiver.mixed("7", "0", f"event-{number}", 1) for number in range(200)]
    assert answers == [receiver.mixed("7", "0", f"event-{number}", 1) for number in range(200)]
    assert len(set(answers)) >= 4
    assert answers != [receiver.mixed("7", "1", f"event-{number}", 1) for number in range(200)]


def test_a_seed_decides_at_which_pass_of_which_process_a_failpoint_kills(tmp_path: Path) -> None:
    def passes(run: str) -> list[int]:
        """How often each of three processes comes by until it dies."""
        folder = tmp_path / run
        folder.mkdir()
        env = {"FAILPOINTS": "worker.here=0.1", "FAILPOINT_SEED": "7", "FAILPOINT_COUNTS": str(folder)}
        return [_passes(env) for _ in range(3)]

    first = passes("first")
    assert first == passes("second")
    assert len(set(first)) > 1, "the processes of a kind do not throw alike"


def _passes(env: dict[str, str]) -> int:
    imports = "from webhooks_app.core import failpoints"
    script = f"{imports}\nwhile 1: print(1, flush=True); failpoints.hit('worker.here')"
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=dict(os.environ) | env,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL
    return len(ran.stdout.split())


# What the suite found


def test_a_keyed_event_gets_its_deliveries(app: Flask, workspace: Workspace) -> None:
    workspace.endpoint("http://127.0.0.1:9/")
    body = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}
    headers = workspace.headers | {"Idempotency-Key": "one"}

    first, again = (app.test_client().post("/api/v1/events", json=body, headers=headers) for _ in range(2))

    assert first.json["deliveries"] == 1
    assert again.json == first.json
    assert len(deliveries()) == 1


def test_a_replay_after_a_late_success_goes_on_behind_the_newest_claim(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    wake_ups: WakeUps,
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send()
    with database.begin() as connection:
        [late] = claims.take(connection, {endpoint_id: 5}, now=clock.now(), lease=LEASE)
    make_due(database)
    receiver.answer = Answer(500)
    engine.run(seconds=5)  # the second claim, recorded
    make_due(database)
    with database.begin() as connection:
        [overtaking] = claims.take(connection, {endpoint_id: 5}, now=clock.now(), lease=LEASE)

    for claim, kind in ((late, OutcomeClass.SUCCESS), (overtaking, OutcomeClass.HTTP_5XX)):
        finished = Finished(claim, clock.now(), "[]", Outcome(kind, status=200))
        record(database, [finished], delays=(5.0,), now=clock.now())
        receiver.answer = Answer(200)
        replays.start(database, wake_ups, workspace.id, claim.delivery_id, actor=TESTER)

    engine.run(seconds=5)
    assert [attempt.generation for attempt in attempts()] == [1, 2, 3, 4]
    assert [delivery.state.value for delivery in deliveries()] == ["delivered"]
