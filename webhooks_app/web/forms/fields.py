"""Fields and rules that several forms share."""

import re
import unicodedata
from typing import Any

from wtforms import IntegerField

from webhooks_app.core import text_display

LONGEST_NAME = 100


class WholeNumberField(IntegerField):  # type: ignore[misc]
    """A whole number in a range; what was typed instead is kept and shown again."""

    def __init__(self, *, lowest: int, highest: int, empty: int | None, **options: Any) -> None:
        super().__init__(default=empty, **options)
        self.lowest, self.highest, self.empty = lowest, highest, empty

    def process_formdata(self, valuelist: list[str]) -> None:
        if not valuelist:
            return
        typed = valuelist[0].strip()
        self.data = self.empty
        if not typed:
            return
        is_number = typed.isascii() and typed.isdecimal() and len(typed) < 10
        if not is_number or not self.lowest <= int(typed) <= self.highest:
            raise ValueError(f"Enter a whole number from {self.lowest:,} to {self.highest:,}.")
        self.data = int(typed)


def name_problem(name: str) -> str:
    """Return what is wrong with a name that people give, or nothing."""
    name = name.strip()
    if len(name) > LONGEST_NAME:
        return f"A name may have {LONGEST_NAME} characters; this one has {len(name)}."
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "The name holds a control character. Type it anew."
    # Joiners belong to some scripts and to emoji; whatever else cannot be seen only deceives.
    if any(part.is_escape for part in text_display.display_parts(re.sub("[\u200c\u200d]", "", name))):
        return "The name holds a character that cannot be seen. Type it anew."
    return ""
