"""Bytes and JSON as text that is safe to show: nothing in it steers a terminal or a browser. Pure."""

import re
from collections.abc import Iterable
from typing import NamedTuple

# Controls other than tab and line feed, what turns the direction of text around, and what cannot be seen.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_INDENT = "  "

# Stands for what must not be read: a header's value, or a part of a URL. Posted back by a form untouched, it
# keeps the stored value.
MASK = "••••••••"


class TextPart(NamedTuple):
    """A stretch of text; `is_escape` where it stands for something that cannot be shown as it is."""

    text: str
    is_escape: bool


def display_parts(content: bytes | str) -> list[TextPart]:
    """Return the content as text, with escapes such as \\xff and \\u202e for what is invalid or invisible."""
    text = content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else content
    text = text.replace("\r\n", "\n")
    found, end = [], 0
    for match in _UNSEEN.finditer(text):
        if match.start() > end:
            found.append(TextPart(text[end : match.start()], False))
        found.append(TextPart(_escape(match[0]), True))
        end = match.end()
    if end < len(text):
        found.append(TextPart(text[end:], False))
    return found


def flatten(content: bytes | str) -> str:
    """Return the content as one string, escapes and all."""
    return "".join(part.text for part in display_parts(content))


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that `surrogateescape` could not decode
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def indent_json(json_text: str) -> str:
    """Spread JSON over several lines. Only space is added: numbers, escapes and key order stay as sent."""
    lines, depth, out = [], 0, ""
    tokens = _JSON_TOKEN.findall(json_text)
    for position, token in enumerate(tokens):
        following = tokens[position + 1] if position + 1 < len(tokens) else ""
        if token in "{[" and following not in ("}", "]"):
            lines.append(out + token)
            depth += 1
            out = _INDENT * depth
        elif token in "}]" and tokens[position - 1] not in ("{", "["):
            lines.append(out)
            depth = max(0, depth - 1)
            out = _INDENT * depth + token
        elif token == ",":
            lines.append(out + token)
            out = _INDENT * depth
        else:
            out += ": " if token == ":" else token
    return "\n".join(line for line in [*lines, out] if line.strip())


def compact_json(json_text: str) -> str:
    """Return JSON without the space between its parts; numbers, escapes and key order stay as sent."""
    return "".join(_JSON_TOKEN.findall(json_text))


def parse_header_block(block: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Return a response's status line, and its headers as they came; what has no colon is all name."""
    lines = [flatten(line) for line in block.replace(b"\r\n", b"\n").split(b"\n") if line]
    if not lines:
        return "", []
    return lines[0], [_header(line) for line in lines[1:]]


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip()


_CONFIG_ESCAPES = str.maketrans(
    {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
)


def curl_command(url: str, headers: Iterable[tuple[str, str]], body: str) -> str:
    """Return a command for a POSIX shell that sends the request; a masked value becomes a placeholder."""
    lines = [f"curl -X POST {_quoted(url.replace(MASK, 'YOUR_VALUE'))}"]
    for name, value in headers:
        shown = f"YOUR {name} VALUE" if value == MASK else value
        lines.append(f"-H {_quoted(f'{name}: {shown}')}")
    return " \\\n  ".join([*lines, f"--data-raw {_quoted(body)}"])


def curl_config(url: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """Return the request as a file that `curl --config` reads; no value in it can become an option."""
    lines = ['request = "POST"', f"url = {_config_quoted(url)}", 'proto = "=http,https"']
    lines += [f"header = {_config_quoted(f'{name}: {value}')}" for name, value in headers]
    lines.append('header = "Expect:"')
    text = body.decode("utf-8", "surrogateescape")
    return "\n".join([*lines, f"data-raw = {_config_quoted(text)}", ""]).encode("utf-8", "surrogateescape")


def _config_quoted(text: str) -> str:
    """Quote as curl's manual has it under --config: some characters have escapes, others none."""
    return f'"{text.translate(_CONFIG_ESCAPES)}"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
