"""What a receiver said, as people read it: unpacked and decoded as its headers say, within bounds."""

import gzip
import zlib
from functools import partial

import pytest

from webhooks_app.core import text_display
from webhooks_app.web.charset_labels import CODECS
from webhooks_app.web.response_text import SHOWN_BYTES, ResponseText, decode_body

# Without the time, which would give the tests other names in each process that collects them.
gzip_compress = partial(gzip.compress, mtime=0)

SAID = "Kein Kunde: Müller 日本"


def decode(body: bytes, *, coding: str = "", kind: str = "", is_cut: bool = False) -> ResponseText:
    return decode_body([("Content-Type", kind), ("content-encoding", coding)], body, is_cut=is_cut)


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        *(("Shift_JIS", "日本語"), ("sjis", "日本語"), ("EUC-JP", "日本語"), ("iso-2022-jp", "日本語")),
        *(
            ("ISO-8859-1", "Müller"),
            ("latin1", "Müller"),
            ("windows-1252", "€ “Müller”"),
            ("GB18030", "日本"),
        ),
        *(("big5", "日本"), ("KOI8-R", "Привет"), ("utf-16le", SAID), ("utf-16", SAID), ("UTF-32", SAID)),
        *(("utf-8", SAID), ("UTF8", SAID), ("US-ASCII", "plain"), ("utf-7", SAID)),
    ],
)
@pytest.mark.parametrize("kind", ["text/plain; charset={}", 'text/html;a=b; Charset="{}"; c=d'])
def test_a_charset_is_read_as_declared(charset: str, text: str, kind: str) -> None:
    assert decode(text.encode(charset), kind=kind.format(charset)).content == text


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        *((label, "cp932", "①日本語") for label in ("windows-31j", "x-sjis", "Shift_JIS", "ms_kanji")),
        *((label, "gb18030", "日本€") for label in ("x-gbk", "GBK", "gb2312", "chinese")),
        *((label, "cp949", "똠방") for label in ("ks_c_5601-1987", "EUC-KR")),
        *((label, "cp1252", "“Müller” €") for label in ("ISO-8859-1", "us-ascii", "x-cp1252")),
        *(("windows-874", "cp874", "ไทย"), ("x-mac-cyrillic", "mac_cyrillic", "Привет")),
        *(
            ("x-euc-jp", "euc_jp", "日本語"),
            ("cn-big5", "big5hkscs", "日本"),
            ("koi8-ru", "koi8_u", "Привіт"),
        ),
        *(("unicode-1-1-utf-8", "utf_8", SAID), ("logical", "iso8859_8", "שלום")),
    ],
)
def test_a_charset_is_known_by_the_labels_that_browsers_know(label: str, codec: str, text: str) -> None:
    assert decode(text.encode(codec), kind=f"text/plain; charset={label}").content == text


@pytest.mark.parametrize("codec", sorted(set(CODECS.values())))
def test_each_codec_that_a_label_stands_for_is_pythons(codec: str) -> None:
    assert "plain".encode(codec).decode(codec) == "plain"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xef\xbb\xbf" + SAID.encode(), "text/plain"),
        (b"\xef\xbb\xbf" + SAID.encode(), "text/plain; charset=utf-8"),
        (b"\xff\xfe" + SAID.encode("utf-16-le"), "text/plain"),
        (b"\xfe\xff" + SAID.encode("utf-16-be"), "text/plain; charset=utf-16"),
        (b"\xfe\xff" + SAID.encode("utf-16-be"), ""),
        (SAID.encode("utf-16-le"), "text/plain; charset=utf-16"),
    ],
)
def test_a_byte_order_mark_is_heard_and_not_shown(body: bytes, kind: str) -> None:
    assert decode(body, kind=kind).content == SAID


def test_what_a_charset_does_not_hold_is_shown_as_bytes() -> None:
    assert text_display.flatten(decode("Müller".encode("latin-1")).content) == "M\\xfcller"
    broken = decode(b"\x93\xfa\xff", kind="text/plain; charset=shift_jis").content
    assert text_display.flatten(broken) == "日\\xff"
    # A lone surrogate, which no page can be written with.
    assert text_display.flatten(decode(b"+2AA-", kind="text/plain; charset=utf-7").content) == "\\ud800"


@pytest.mark.parametrize(
    "charset",
    ["x-unknown", "aliases", "zlib_codec", "bz2", "hex", "rot13", "punycode", "idna", "unicode_escape"],
)
def test_what_is_no_charset_is_read_as_utf_8(charset: str) -> None:
    content, notes = decode(SAID.encode(), kind=f"text/plain; charset={charset}")
    assert content == SAID
    assert f"charset {charset} is not known" in " ".join(notes)


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip_compress(SAID.encode())),
        ("X-GZIP", gzip_compress(SAID.encode())),
        ("deflate", zlib.compress(SAID.encode())),
        ("deflate", raw_deflate(SAID.encode())),
        ("gzip, identity", gzip_compress(SAID.encode())),
        ("deflate, gzip", gzip_compress(zlib.compress(SAID.encode()))),
        ("gzip,gzip,gzip", gzip_compress(gzip_compress(gzip_compress(SAID.encode())))),
        ("gzip", gzip_compress(SAID[:5].encode()) + gzip_compress(SAID[5:].encode()) + b"\0\0"),
    ],
)
def test_a_body_is_unpacked_as_declared(coding: str, packed: bytes) -> None:
    content, notes = decode(packed, coding=coding)
    assert content == SAID
    assert notes[0].startswith("Unpacked from ")


def test_several_headers_count_as_one_list() -> None:
    headers = [("Content-Encoding", "deflate"), ("CONTENT-ENCODING", " gzip")]
    assert decode_body(headers, gzip_compress(zlib.compress(b"said")), is_cut=False).content == "said"


def test_a_packed_body_has_its_charset_too() -> None:
    packed = gzip_compress("日本".encode("shift_jis"))
    assert decode(packed, coding="gzip", kind="text/plain; charset=Shift_JIS").content == "日本"


@pytest.mark.parametrize(("coding", "name"), [("br", "brotli (br)"), ("zstd", "zstd"), ("x-own", "x-own")])
def test_what_is_not_unpacked_here_is_named_and_left(coding: str, name: str) -> None:
    content, notes = decode(b"\x8b\x03packed", coding=coding)
    assert content == b"\x8b\x03packed"
    assert notes == [f"Packed with {name}, which is not unpacked here: these are its bytes."]
    inner = decode(gzip_compress(b"\x8bpacked"), coding=f"{coding}, gzip")
    assert (inner.content, len(inner.notes)) == (b"\x8bpacked", 2)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_is_not_packed_as_declared_is_left(coding: str) -> None:
    content, notes = decode(b"\xffplain text", coding=coding)
    assert content == b"\xffplain text"
    assert notes == [f"The header says {coding}, but the body is something else: these are its bytes."]


@pytest.mark.parametrize("is_cut", [True, False])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_packed_body_that_ends_early_shows_what_there_is(coding: str, is_cut: bool) -> None:
    packed = (gzip_compress if coding == "gzip" else zlib.compress)(SAID.encode() * 50)
    content, notes = decode(packed[:-12], coding=coding, is_cut=is_cut)
    assert isinstance(content, str)
    assert content.startswith(SAID)
    assert ("What was packed ends too early." in notes) is not is_cut


def test_a_break_in_the_middle_shows_what_stands_before_it() -> None:
    said = "".join(f"line {number}\n" for number in range(2000)).encode()
    packed = bytearray(gzip_compress(said))
    packed[3000:3016] = b"\xff" * 16
    content, notes = decode(bytes(packed), coding="gzip")
    assert isinstance(content, str)
    assert said.decode().startswith(content[:1000])
    assert "What was packed is broken." in notes


@pytest.mark.parametrize("size", [SHOWN_BYTES - 1, SHOWN_BYTES])
def test_what_fits_is_shown_whole(size: int) -> None:
    content, notes = decode(gzip_compress(b"a" * size), coding="gzip")
    assert (content, notes) == ("a" * size, ["Unpacked from gzip."])


def test_half_a_character_at_the_cut_is_left_out() -> None:
    content, notes = decode(gzip_compress("ä日".encode() * SHOWN_BYTES), coding="gzip")
    assert text_display.flatten(content) == ("ä日" * SHOWN_BYTES)[: len(content)]
    assert "longer: this is its first 16 KiB" in notes[1]
    assert decode("日本".encode()[:-1], is_cut=True).content == "日"
    assert decode("日本".encode("shift_jis")[:-1], kind="a/b;charset=sjis", is_cut=True).content == "日"


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (gzip_compress(b"\0" * 16_000_000), "gzip"),
        (raw_deflate(b"\0" * 16_000_000), "deflate"),
        (gzip_compress(gzip_compress(b"\0" * 16_000_000)), "gzip, gzip"),
        (gzip_compress(b"") * 800, "gzip"),
        (gzip_compress(gzip_compress(b"") * 100_000), "gzip, gzip"),
        (gzip_compress(b"x"), ",".join(["gzip"] * 1000)),
    ],
    ids=["gzip", "deflate", "nested", "empties", "nested-empties", "codings"],
)
def test_a_bomb_is_cut(body: bytes, coding: str) -> None:
    content, notes = decode(body[: 16 * 1024], coding=coding, is_cut=True)
    assert len(content) <= SHOWN_BYTES
    assert len(notes) < 10
