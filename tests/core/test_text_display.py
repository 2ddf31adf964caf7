"""Bytes and JSON as people read them."""

from webhooks_app.core import text_display, url_masking


def test_unseen_bytes_become_escapes() -> None:
    content = "a\u202eb\u200f\r\nc\td".encode() + b"\x00\xff\x9b"
    assert text_display.flatten(content) == "a\\u202eb\\u200f\nc\td\\x00\\xff\\x9b"
    assert [part.text for part in text_display.display_parts(content) if part.is_escape][:1] == ["\\u202e"]
    assert text_display.flatten("日本語 ünïcode 👩‍👩".encode()).startswith("日本語 ünïcode")


def test_indenting_changes_no_token() -> None:
    sent = '{"a":1.10,"b":[],"c":{"d":[1,{"e":"x: {,}\\""}]},"big":12345678901234567890,"f":{}}'
    shown = text_display.indent_json(sent)
    assert shown.splitlines()[:3] == ["{", '  "a": 1.10,', '  "b": [],']
    assert '"e": "x: {,}\\""' in shown
    assert text_display.compact_json(shown) == sent
    assert shown.replace("\n", "").replace(" ", "") == sent.replace(" ", "")


def test_curl_quotes_for_the_shell_and_leaves_masked_values_out() -> None:
    command = text_display.curl_command(
        url_masking.mask_url("https://a.example.com/?key=s3cret"),
        [("a", "b"), ("X-Key", text_display.MASK)],
        "{'$(id)'}",
    )
    assert "curl -X POST 'https://a.example.com/?key=YOUR_VALUE'" in command
    assert "-H 'X-Key: YOUR X-Key VALUE'" in command
    assert command.endswith("""--data-raw '{'\\''$(id)'\\''}'""")
