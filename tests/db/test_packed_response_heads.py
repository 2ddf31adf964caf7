"""Headers of responses come back byte for byte, whatever receivers send."""

from datetime import UTC, datetime

import pytest

from webhooks_app.db import packed_response_heads
from webhooks_app.db.preset_deflate import DamagedStream

STARTED_AT = datetime(2026, 5, 4, 12, 0, 31, 204_000, tzinfo=UTC)
NGINX = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 04 May 2026 12:00:32 GMT\r\n"
    b"Content-Type: application/json; charset=utf-8\r\nContent-Length: 17\r\nConnection: keep-alive\r\n"
    b"X-Request-Id: 7f3c2f5e-0b1d-4c1e-9a53-1f0c4b8e2d11\r\n\r\n"
)
EXPRESS = (
    b"HTTP/1.1 200 OK\r\nX-Powered-By: Express\r\nContent-Type: text/html; charset=utf-8\r\n"
    b'Content-Length: 2\r\nETag: W/"2-nOO9QiTIwXgNtWtBJezz8kv3SLc"\r\nDate: Mon, 04 May 2026 12:00:31 GMT\r\n'
    b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n"
)
CLOUDFLARE = (
    b"HTTP/2 202 \r\ndate: Mon, 04 May 2026 12:00:31 GMT\r\ncontent-type: application/json\r\n"
    b"content-length: 2\r\nserver: cloudflare\r\n"
    b"cf-ray: 9a1b2c3d4e5f6071-FRA\r\ncf-cache-status: DYNAMIC\r\n\r\n"
)


def packed(head: bytes) -> bytes:
    content = packed_response_heads.pack(STARTED_AT, head)
    assert content is not None
    return content


def unpacked(content: bytes) -> bytes:
    return packed_response_heads.unpack(STARTED_AT, content)


@pytest.mark.parametrize(("head", "longest"), [(NGINX, 24), (EXPRESS, 48), (CLOUDFLARE, 20), (b"", 4)])
def test_what_common_receivers_answer_takes_few_bytes(head: bytes, longest: int) -> None:
    content = packed(head)
    assert unpacked(content) == head
    assert len(content) <= longest


def dated(date: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nDate: %b\r\n\r\n" % date


@pytest.mark.parametrize(
    "head",
    [
        dated(b"Mon, 04 May 2026 11:58:24 GMT"),  # 127 seconds before
        dated(b"Mon, 04 May 2026 11:58:23 GMT"),
        dated(b"Mon, 04 May 2026 12:02:38 GMT"),  # 127 seconds after
        dated(b"Mon, 04 May 2026 12:02:39 GMT"),
        dated(b"Tue, 04 May 2026 12:00:31 GMT"),  # it was a Monday
        dated(b"Mon, 04 Mai 2026 12:00:31 GMT"),
        dated(b"Mon, 04 May 2026 12:00:61 GMT"),
        dated(b"Fri, 31 Feb 2026 12:00:31 GMT"),
        dated(b"Mon, 4 May 2026 12:00:31 GMT"),
        dated(b"Monday, 04-May-26 12:00:31 GMT"),
        dated(b"Thu, 01 Jan 0000 00:00:00 GMT"),
        dated(b"Mon, 04 May 2026 12:00:31 GMT\r\nx-date: Mon, 04 May 2026 12:00:31 GMT"),
        b"Date: Mon, 04 May 2026 12:00:31 GMT",
        b"x: 7F3C2F5E-0B1D-4C1E-9A53-1F0C4B8E2D11\r\ny: 7f3c2f5e-0b1d-4c1e-9a53-1f0c4b8e2d1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a7f3c2f5e-0b1d-4c1e-9a53-1f0c4b8e2d11a 0123456789abcdef0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
        b"HTTP/1.1 200 OK\r\netag: %b\r\n\r\n" % (b"0123456789abcdef" * 300),
        b"\xff\xfe not \r HTTP at all \n\n",
        b"x" * 40_000,
        NGINX * 40,
    ],
)
def test_whatever_came_comes_back(head: bytes) -> None:
    assert unpacked(packed(head)) == head


@pytest.mark.parametrize("byte", range(4))
def test_bytes_that_mark_what_was_taken_out_are_left_to_others(byte: int) -> None:
    assert packed_response_heads.pack(STARTED_AT, b"HTTP/1.1 200 OK\r\nx: %c\r\n\r\n" % byte) is None


def test_what_was_taken_out_must_be_there_and_nothing_more() -> None:
    content = packed(NGINX)
    for damaged in (
        content[:1] + b"\1" + content[2:],
        content[:1] + b"\0" + content[2 + 16 :],
        content[:1] + b"\3" + b"\0" * 8 + content[2:],
        b"\0" + content[1:],  # no date
        content[:1]
        + b"\1"
        + b"\0" * 8
        + packed_response_heads._deflate(b"\0" * 8),  # what stands for nothing
        b"",
    ):
        with pytest.raises(DamagedStream):
            unpacked(damaged)
