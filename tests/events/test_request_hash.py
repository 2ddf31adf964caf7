"""Which requests under one idempotency key hand over the same event."""

import hashlib
from itertools import combinations
from typing import Any

import pytest

from webhooks_app.core import json_parsing
from webhooks_app.events import request_hash

DATA: dict[str, Any] = {"batch": {"id": "b1", "sizes": [1, 2]}, "status": "succeeded"}
# Each as JSON: no two of them are the same data.
OTHERS = """
    {} {"n":null} {"n":0} {"n":false} {"n":""} {"n":[]} {"n":{}} {"n":1} {"n":1.0} {"n":"1"} {"n":true}
    {"N":1} {"n":[1,2]} {"n":[2,1]} {"n":[[1],2]} {"n":{"a":1,"b":2}} {"n":{"a":2,"b":1}} {"n":{"a":{"b":1}}}
    {"n":12345678901234567890} {"n":12345678901234567891} {"n":0.5} {"n":-0.5} {"n":"ü"} {"n":"u\\u0308"}
"""


def body_of(data: str, event_type: str = "batch") -> bytes:
    """An event's envelope, with its data as it was written."""
    return f'{{"id":"evt_1","type":"{event_type}","data":{data}}}'.encode()


def hash_of(data: str, event_type: str = "batch") -> str:
    return request_hash.of_event(event_type, json_parsing.parse(data.encode()))


def exact_hash(data: str, event_type: str = "batch") -> str:
    raw = data.encode()
    return request_hash.exact_hash(event_type, json_parsing.parse(raw), raw)


def is_repeat(earlier: str, sent: str) -> bool:
    """Tell by what is stored today of the one and of the other."""
    return request_hash.is_repeat(
        hash_of(earlier), body_of(earlier), sent_hash=hash_of(sent), sent_body=body_of(sent)
    )


@pytest.mark.parametrize(
    ("data", "hashed"),
    [
        (DATA, b'["batch", {"batch": {"id": "b1", "sizes": [1, 2]}, "status": "succeeded"}]'),
        ({"\u00fc": 1e22, "a": None}, b'["batch", {"a": null, "\\u00fc": 1e+22}]'),
    ],
)
def test_the_hash_is_the_one_that_every_version_stored(data: dict[str, Any], hashed: bytes) -> None:
    assert request_hash.of_event("batch", data) == hashlib.sha256(hashed).hexdigest()


def test_the_order_of_keys_makes_no_other_event_at_any_depth() -> None:
    turned = {"status": "succeeded", "batch": {"sizes": [1, 2], "id": "b1"}}
    assert [*turned] != [*DATA]
    assert request_hash.of_event("a", turned) == request_hash.of_event("a", DATA)


def test_the_same_data_of_another_type_is_another_event() -> None:
    assert request_hash.of_event("a", DATA) != request_hash.of_event("b", DATA)


def test_data_that_differ_anywhere_have_different_hashes() -> None:
    for one, other in combinations(OTHERS.split(), 2):
        assert hash_of(one) != hash_of(other), (one, other)
        assert exact_hash(one) != exact_hash(other), (one, other)


@pytest.mark.parametrize(
    ("number", "text"),
    [("1.50", "15e-1"), ("-0.015", "-15e-3"), ("1e2", "1e2"), ("-0.0", "-0"), ("0e5", "0")],
)
def test_the_hash_of_what_is_written_is_the_one_that_was_stored_for_a_while(number: str, text: str) -> None:
    hashed = b'["batch", {"n": "\\u0000%b"}]' % text.encode()
    assert exact_hash(f'{{"n":{number}}}') == hashlib.sha256(hashed).hexdigest()


@pytest.mark.parametrize("data", ['{"n":1}', '{"n":"1 of 2"}', '{"n":-7,"e":[10]}', '{"e.":1}', "{}"])
def test_without_a_fraction_the_hash_of_what_is_written_is_that_of_the_data(data: str) -> None:
    assert exact_hash(data) == hash_of(data)


@pytest.mark.parametrize("data", ['{"n":"1.5"}', '{"n":"1e5 and 2E5"}', '{"1.5":2}'])
def test_nor_does_one_in_a_text_make_another(data: str) -> None:
    assert exact_hash(data) == hash_of(data)


@pytest.mark.parametrize(
    "spellings",
    [
        "1.5 1.50 15e-1 0.15E+1 150.0e-2",
        "100.0 1e2 1E2 1.0e2 10e1",
        "-0.001 -1e-3 -0.0010 -10E-4",
        "0.0 0e5 0.000 0E-7",
        "-0.0 -0e5",
        "10.25 1025e-2 0.01025e3",
        "3.14159265358979323846 314159265358979323846e-20",
    ],
)
def test_each_spelling_of_a_number_has_one_hash_of_what_is_written(spellings: str) -> None:
    assert len({exact_hash(f'{{"n":{each}}}') for each in spellings.split()}) == 1


def test_numbers_that_differ_in_their_last_digit_or_sign_have_different_hashes_of_what_is_written() -> None:
    numbers = """
        3.14159265358979323846 3.14159265358979323847 0.1 0.1000000000000000055511151231257827 1e-400 2e-400
        0.0 -0.0 1e22 1.00000000000000000000001e22 1.5 -1.5 15.0 0.15 1.05 1.005 105.0 1e5 5e1
        1e-99999999999999999999999 2e-99999999999999999999999 0.01e1
    """
    written = [exact_hash(f'{{"n":{each}}}') for each in numbers.split()]
    # 0.1 and 0.01e1 are the same.
    assert len({*written}) == len(written) - 1
    assert written[2] == written[-1]


@pytest.mark.parametrize("text", ["1.5", "15e-1", "\\u000e15e-1"])
def test_no_text_passes_for_the_number_that_it_spells(text: str) -> None:
    assert exact_hash(f'{{"n":"{text}","other":2.5}}') != exact_hash('{"n":1.5,"other":2.5}')


def test_numbers_at_every_depth_are_taken_exact_hash() -> None:
    nested = '{"a":[{"b":[0.10000000000000000001]}]}'
    assert hash_of(nested) == hash_of('{"a":[{"b":[0.1]}]}')
    assert exact_hash(nested) != exact_hash('{"a":[{"b":[0.1]}]}')
    assert exact_hash(nested) == exact_hash('{ "a": [ {"b": [10000000000000000001e-20]} ] }')


def test_the_hash_of_what_is_written_is_of_the_type_too() -> None:
    assert exact_hash('{"n":1.5}', "a") != exact_hash('{"n":1.5}', "b")


@pytest.mark.parametrize(
    ("earlier", "sent"),
    [
        ('{"a":1,"b":[true]}', '{"b": [true],\n"a": 1}'),
        ('{"a":1.5,"b":2}', '{"b":2,"a":15e-1}'),
        ('{"n":3.14159265358979323846}', '{"n": 3.14159265358979323846}'),
        ('{"n":"1.5"}', '{"n": "1.5"}'),
        ('{"n":"\\u00fc"}', '{"n":"ü"}'),
    ],
)
def test_the_same_data_is_a_repeat_however_it_is_spelt(earlier: str, sent: str) -> None:
    assert is_repeat(earlier, sent)
    assert is_repeat(sent, earlier)
    assert is_repeat(sent, sent)


@pytest.mark.parametrize(
    ("earlier", "sent"),
    [
        ('{"a":1}', '{"a":2}'),
        ('{"a":1}', '{"a":1,"b":null}'),
        ('{"a":[1,2]}', '{"a":[2,1]}'),
        ('{"a":{"b":1}}', '{"a":{"b":"1"}}'),
        ('{"n":0.1}', '{"n":0.10000000000000000001}'),
        ('{"n":[1.5,0.1]}', '{"n":[1.5,0.10000000000000000001]}'),
        ('{"n":0.0}', '{"n":1e-400}'),
    ],
)
def test_other_data_is_no_repeat(earlier: str, sent: str) -> None:
    assert not is_repeat(earlier, sent)
    assert not is_repeat(sent, earlier)


def test_where_the_earlier_payload_was_erased_the_hash_alone_decides() -> None:
    sent = '{"n":0.10000000000000000001}'

    def is_one(earlier_hash: str) -> bool:
        return request_hash.is_repeat(earlier_hash, b"", sent_hash=hash_of(sent), sent_body=body_of(sent))

    assert is_one(hash_of('{"n":0.1}'))  # a float has no more digits
    assert is_one(exact_hash(sent))
    assert not is_one(exact_hash('{"n":0.1}'))
    assert not is_one(hash_of('{"n":0.2}'))


def test_a_hash_of_what_wexact_hash_is_known_again() -> None:
    """An earlier version hashed events this way."""
    sent = '{"n":3.14159265358979323846}'

    def is_one(earlier: str, event_type: str = "batch") -> bool:
        return request_hash.is_repeat(
            exact_hash(earlier, event_type),
            body_of(earlier, event_type),
            sent_hash=hash_of(sent),
            sent_body=body_of(sent),
        )

    assert is_one(sent)
    assert is_one('{"n":314159265358979323846e-20}')
    assert not is_one('{"n":3.14159265358979323847}')
    assert not is_one(sent, "other")


def test_what_was_stored_without_a_hash_is_no_repeat() -> None:
    assert not request_hash.is_repeat(
        None, body_of("{}"), sent_hash=hash_of('{"a":1}'), sent_body=body_of('{"a":1}')
    )
