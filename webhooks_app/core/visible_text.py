"""Tell text that people see from text that only deceives them. Pure."""

import re
import unicodedata

# Letters and marks that are blank by design (Unicode, DerivedCoreProperties, "Default_Ignorable_Code_Point"),
# with the blank Braille pattern and the null notehead. What steers text, category Cf, is found by category.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\U0001d159")
# Of category Cf but drawn (Unicode, PropList, "Prepended_Concatenation_Mark").
_DRAWN = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
# Controls, surrogates, what each font draws as it likes, line and paragraph separators.
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})

# Kept for such letters and not given out yet (the same list of Unicode), and the blanks of hieroglyphs.
_RESERVED = re.compile("[\u2065\ufff0-\ufff8\U00013441\U00013442\U000e0000-\U000e0fff]")
_JOINERS, _SELECTORS = "\u200c\u200d", "\ufe00-\ufe0f\U000e0100-\U000e01ef"
# Joiners belong between letters of some scripts and between emoji, and a selector behind what it varies: an
# emoji, an ideograph, or the digit of a keycap. Beside Latin letters they change nothing.
_JOINED = re.compile(rf"(?<=[^\0-\x7f{_JOINERS}])[{_JOINERS}](?=[^\0-\x7f{_JOINERS}])")
_SELECTED = re.compile(rf"(?<=[0-9#*\u0080-\U0010ffff])(?<![{_JOINERS}{_SELECTORS}])[{_SELECTORS}]")


def has_unseen(text: str) -> bool:
    """Return whether the text holds a character that is not drawn, or that reverses the order of others."""
    rest = _JOINED.sub("", _SELECTED.sub("", text))
    return any(_is_unseen(character) for character in rest)


def is_visible(text: str) -> bool:
    """Return whether the text holds anything to see by itself: neither space nor marks alone."""
    drawn = (character for character in text if not _is_unseen(character))
    return any(unicodedata.category(character)[0] not in "MZ" for character in drawn)


def _is_unseen(character: str) -> bool:
    if character in _DRAWN:
        return False
    is_selector = re.fullmatch(f"[{_SELECTORS}]", character) is not None
    is_blank = character in _BLANK or _RESERVED.match(character) is not None
    return is_selector or is_blank or unicodedata.category(character) in _UNSEEN_CATEGORIES
