"""Text that is looked for in payloads: in any case, and however a JSON library spelled it. Pure."""

import json
import re
from dataclasses import dataclass

from webhooks_app.core.case_folding import fold

_JSON_COLON = re.compile(r'"\s*:\s*')
_ESCAPES = re.compile(rb"(?:\\u[0-9a-fA-F]{4})+")


@dataclass(frozen=True, slots=True)
class PayloadText:
    """What to look for: the text, folded, with no space behind the colons of JSON and with one."""

    spellings: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "PayloadText":
        typed = (text, _JSON_COLON.sub('":', text), _JSON_COLON.sub('": ', text))
        return cls(tuple(dict.fromkeys(fold(each) for each in typed if each)))

    def is_in(self, body: bytes) -> bool:
        """Return whether the body holds the text, as sent or with its escapes replaced by what they mean."""
        if self._is_in(body):
            return True
        return b"\\" in body and self._is_in(_without_escapes(body))

    def _is_in(self, body: bytes) -> bool:
        folded = fold(body.decode("utf-8", "replace"))
        return any(each in folded for each in self.spellings)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where in a text that is shown matches begin and end, in order and apart from each other."""
        pattern = "|".join(re.escape(each) for each in sorted(self.spellings, key=len, reverse=True))
        if not pattern:
            return []
        folded, origins = _folded_with_origins(text)
        return [(origins[m.start()], origins[m.end() - 1] + 1) for m in re.finditer(pattern, folded)]


def _without_escapes(body: bytes) -> bytes:
    """Return JSON with characters in the place of their escapes; it need not be JSON any more."""
    return _ESCAPES.sub(lambda match: _characters(match[0]), body.replace(b"\\/", b"/"))


def _characters(escapes: bytes) -> bytes:
    text: str = json.loads(b'"%b"' % escapes)
    return text.encode("utf-8", "replace")


def _folded_with_origins(text: str) -> tuple[str, range | list[int]]:
    """Return the folded text, and of each of its characters where it comes from."""
    folded = fold(text)
    if len(folded) == len(text):
        return folded, range(len(text))
    # A letter may fold to several. An accent that stands apart may join the letter before it, but not here,
    # where each is folded by itself: such a match is found and not marked.
    parts = [fold(each) for each in text]
    return "".join(parts), [position for position, part in enumerate(parts) for _ in part]
