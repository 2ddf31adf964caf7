"""Bodies of events come back byte for byte, in half of the space."""

from datetime import UTC, datetime

import pytest

from webhooks_app.core import ids
from webhooks_app.db import event_bodies
from webhooks_app.events.accept import envelope
from webhooks_app.events.catalog import load
from webhooks_app.events.event_types import EventType
from webhooks_app.events.submissions import NewEvent

EVENT_ID, WORKSPACE_ID = "evt_06h1gk1m2ubc4t26ul2t716us8", "ws_vvvvvvvvvvvvvvvvvvvvvvvvvv"
MOMENT = datetime(2026, 11, 26, 12, 0, 0, 7_000, tzinfo=UTC)
# As the first version packed it: neither it nor its dictionary may change.
FIRST_VERSION = (
    "010006886140d85e5b09d11bd5174e137b8803ffffffffffffffffffffffffffffffff0047fb630921ca07276f4e402341"
    "2930b00d0c8d8c81a661f1556d2d00"
)


def body(
    raw_data: bytes = b'{"batch_id":"batch_0000123","status":"succeeded"}',
    *,
    event_id: str = EVENT_ID,
    event_type: str = "batch-lifecycle",
    workspace_id: str = WORKSPACE_ID,
    now: datetime = MOMENT,
) -> bytes:
    return envelope(
        event_id=event_id, event_type=event_type, workspace_id=workspace_id, raw_data=raw_data, now=now
    )


@pytest.mark.parametrize("event_type", load().event_types, ids=lambda each: each.name)
def test_every_example_of_the_catalog_takes_half_of_the_space(event_type: EventType) -> None:
    example = NewEvent.example_of(event_type)
    whole = body(example.raw_data, event_type=example.type, event_id=ids.new("evt"))
    packed = event_bodies.pack(whole)
    assert event_bodies.unpack(packed) == whole
    assert len(packed) < len(whole) / 2


@pytest.mark.parametrize(
    "raw_data",
    [
        b"{}",
        b'{ "a" :\t1.0,\r\n"b": [1e400, "\\u0000", "\\ud800"] }',
        '{"ключ":"значение","quote\\"d":"\\\\"}'.encode(),
        b'{"data":{"id":"evt_00000000000000000000000000","type":"x"}}',
        b'{"text":"' + b"long " * 700 + b'"}',
    ],
)
def test_bytes_come_back_as_they_were_sent(raw_data: bytes) -> None:
    for event_type in ("batch-lifecycle", "eigener.typ_ü"):
        whole = body(raw_data, event_type=event_type)
        packed = event_bodies.pack(whole)
        assert event_bodies.is_packed(packed)
        assert event_bodies.unpack(packed) == whole


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        body(b'{"text":"' + b"x" * event_bodies.LARGEST + b'"}'),
        body(event_id="evt_1000"),
        body(event_id=EVENT_ID.upper().replace("EVT_", "evt_")),
        body(event_id="evt_0_h1gk1m2ubc4t26ul2t716us8"),
        body(workspace_id="ws_w6h1gk1m2ubc4t26ul2t716us8"),
        b'{"id":1}',
    ],
    ids=["erased", "large", "short id", "capitals", "underscore", "another letter", "another shape"],
)
def test_what_is_no_body_of_an_ordinary_event_stays_as_it_is(stored: bytes) -> None:
    assert event_bodies.pack(stored) == stored
    assert event_bodies.unpack(stored) == stored
    assert not event_bodies.is_packed(stored)


def test_a_body_of_the_first_version_is_read() -> None:
    assert event_bodies.unpack(bytes.fromhex(FIRST_VERSION)) == body()
    assert event_bodies.pack(body()).hex() == FIRST_VERSION


_PACKED = event_bodies.pack(body())


@pytest.mark.parametrize(
    "stored",
    [
        *(_PACKED[:length] for length in range(1, len(_PACKED))),
        _PACKED + b"\0",
        b"no JSON",
        b'{"no":"UTF-8 \xff"}',
    ],
)
def test_a_damaged_body_is_an_error_and_reads_as_nothing(stored: bytes) -> None:
    with pytest.raises(event_bodies.DamagedBody):
        event_bodies.unpack(stored)
    read = event_bodies.read(stored)
    assert (bytes(read), isinstance(read, event_bodies.Unreadable)) == (b"", True)


def test_no_bit_that_changes_in_a_packed_body_makes_it_another_body() -> None:
    spare = 0
    for bit in range(8 * len(_PACKED)):
        changed = bytearray(_PACKED)
        changed[bit // 8] ^= 1 << bit % 8
        read = event_bodies.read(bytes(changed))
        spare += read == body()
        assert read == body() or isinstance(read, event_bodies.Unreadable), bit
    assert spare < 8  # those of the last byte that fill it up


def test_the_beginning_of_a_large_body_may_end_within_a_character() -> None:
    whole = body('{"a":"ü"}'.encode(), event_id="evt_1")
    part = whole[: whole.index(b"\xbc")]
    assert event_bodies.read(part, is_part=True) == part
    assert isinstance(event_bodies.read(part), event_bodies.Unreadable)


@pytest.mark.parametrize("whole", [body(), body(b'{"large":"' + b"x" * event_bodies.LARGEST + b'"}'), b""])
def test_a_body_is_that_of_the_event_that_it_names(whole: bytes) -> None:
    read = event_bodies.read(event_bodies.pack(whole))
    assert event_bodies.of_event(EVENT_ID, read) == whole
    other = event_bodies.of_event("evt_" + "0" * 26, read)
    assert (bytes(other), isinstance(other, event_bodies.Unreadable)) == (b"", bool(whole))
