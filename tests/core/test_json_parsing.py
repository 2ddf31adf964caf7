"""JSON from strangers: line 42 of the security bar, and RFC 8259."""

import json
import sys
from typing import Any

import pytest

from webhooks_app.core.json_parsing import (
    DEEPEST,
    InvalidJson,
    batch_data_as_sent,
    data_as_sent,
    parse,
    parse_to_the_digit,
)

MOST_DIGITS = sys.get_int_max_str_digits()


def lists(levels: int, inside: bytes = b"1") -> bytes:
    return b"[" * levels + inside + b"]" * levels


def objects(levels: int, inside: bytes = b"1") -> bytes:
    return b'{"a":' * levels + inside + b"}" * levels


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -1, 1.5, 1e308, -1e308, 2**63, 10**100, "", "é", "日本 🚀", "a\tb\n"),
        *([], {}, [1, [2, [3]]], {"": 1}, {"a": {"a": {"a": 1}}}, {"a": 1, "A": 2}),
    ],
)
def test_json_is_read_as_it_was_written(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(value, indent=1)):
        read = parse(text.encode())
        assert read == value
        assert type(read) is type(value)


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert parse(rb'{"\ud83d\ude80": "\ud83d\ude80"}') == {"🚀": "🚀"}


@pytest.mark.parametrize(
    "raw",
    [
        *(
            b"",
            b" ",
            b"\0",
            b"{",
            b"}",
            b"[1,]",
            b'{"a":1,}',
            b"{'a':1}",
            b"{a:1}",
            b"1 2",
            b"{}{}",
            b"// x\n1",
        ),
        *(
            b"01",
            b"+1",
            b".5",
            b"1.",
            b"1e",
            b"0x1",
            b"1_0",
            b"--1",
            "\u0661".encode(),
            b"True",
            b"nan",
            b"None",
        ),
        *(b'"', b'"\t"', b'"\n"', b'"\\x41"', b'"\\u00"', b'"\\ud83d', b"\xef\xbb\xbf{}", b"\xa0{}"),
    ],
)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidJson, match=r"^The body is not (JSON|UTF-8)"):
        parse(raw)


@pytest.mark.parametrize(
    "raw",
    [b'"\xff"', b'"\xc3"', b'"\xc0\x80"', b'"\xed\xa0\x80"', "{}".encode("utf-16"), "{}".encode("utf-32")],
    ids=["ff", "cut", "overlong", "encoded-surrogate", "utf-16", "utf-32"],
)
def test_what_is_not_utf_8_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidJson, match="not UTF-8"):
        parse(raw)


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("around", ["%s", "[%s]", '{"a": [1, {"b": %s}]}'])
def test_what_is_not_a_number_is_refused(name: str, around: str) -> None:
    with pytest.raises(InvalidJson, match=f"^{name} is not a JSON number"):
        parse((around % name).encode())


@pytest.mark.parametrize(
    "raw",
    [b"1e309", b"-1e309", b"1e999999999", b'{"a": [1e400]}', b"1" * (MOST_DIGITS + 1), b"-" + b"9" * 100_000],
    ids=["1e309", "-1e309", "1e999999999", "inside", "digits", "many-digits"],
)
def test_a_number_beyond_all_bounds_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidJson, match="number is too large"):
        parse(raw)


def test_the_longest_number_that_is_taken_can_be_written_again() -> None:
    raw = b"1" * MOST_DIGITS
    assert json.dumps(parse(raw)).encode() == raw


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "b": 2, "a": 3}',
        b'{"x": [{"a": 1, "a": 2}]}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"": 1, "": 2}',
    ],
)
def test_the_same_key_twice_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidJson, match="same key twice"):
        parse(raw)


@pytest.mark.parametrize("half", [b"\\ud83d", b"\\ude80", b"\\ude80\\ud83d", b"\\ud83dx", b"ok \\uDFFF"])
@pytest.mark.parametrize("around", [b'"%s"', b'["%s"]', b'{"%s": 1}', b'{"a": {"b": ["%s"]}}'])
def test_half_a_surrogate_pair_is_refused(half: bytes, around: bytes) -> None:
    with pytest.raises(InvalidJson, match="half of a surrogate pair"):
        parse(around % half)


@pytest.mark.parametrize("around", [b'"%s"', b'["a%sb"]', b'{"%s": 1}', b'{"a": {"b": ["%s"]}}'])
def test_nul_is_refused(around: bytes) -> None:
    with pytest.raises(InvalidJson, match="NUL"):
        parse(around % b"\\u0000")


@pytest.mark.parametrize("nest", [lists, objects])
def test_nesting_is_taken_to_the_limit(nest: Any) -> None:
    assert parse(nest(DEEPEST)) == json.loads(nest(DEEPEST))
    with pytest.raises(InvalidJson, match=f"more than {DEEPEST} levels"):
        parse(nest(DEEPEST + 1))


@pytest.mark.parametrize(
    "raw", [lists(100_000), objects(100_000), b"[" * 200_000, b'{"a":' * 40_000, b"[{" * 1], ids=len
)
def test_a_depth_bomb_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidJson):
        parse(raw)


@pytest.mark.parametrize("raw", [lists(DEEPEST + 1, b""), objects(DEEPEST, b"{}")], ids=["lists", "objects"])
def test_empty_levels_count_too(raw: bytes) -> None:
    with pytest.raises(InvalidJson, match=f"more than {DEEPEST} levels"):
        parse(raw)


def test_the_message_does_not_repeat_the_body() -> None:
    with pytest.raises(InvalidJson) as caught:
        parse(b'{"card": "4111-secret" oops')
    assert "secret" not in str(caught.value)
    assert "character 23" in str(caught.value)


AS_SENT = [
    *(b"{}", b"{ }", b"[\t1 ,\r\n2]", b"3.14159265358979323846", b"1e-400", b"-0", b"1E+2", b"1.0", b"null"),
    *(b'"\\u00e4\\/\\ud83d\\ude80"', '"ä🚀\x7f"'.encode(), b'{"data": {"data": 1}, "b": "}"}', b'"\\""'),
    *(b"1" * MOST_DIGITS, b"0." + b"1" * 10_000, b"1e-99999999999999999999999", lists(DEEPEST - 1)),
]


@pytest.mark.parametrize("data", AS_SENT)
@pytest.mark.parametrize("around", [b'{"data":%b}', b' {"a":[1e5,"data"] , "d\\u0061ta"\n:\t%b , "z" : {}} '])
def test_data_is_given_as_it_was_written(data: bytes, around: bytes) -> None:
    event = around % data
    parse(event)

    assert data_as_sent(event) == data
    assert batch_data_as_sent(b'{"events": [%b,%b]}' % (event, event)) == [data, data]


def test_numbers_can_be_compared_to_the_last_digit() -> None:
    assert parse_to_the_digit(b"[1.10, 1]") == parse_to_the_digit(b"[ 1.1,1]")
    assert parse_to_the_digit(b"0.1000000000000000000001") != parse_to_the_digit(b"0.1")
    assert parse_to_the_digit(b"1e-400") != parse_to_the_digit(b"0.0")
