"""Text compared without regard to case, alike on every database. Pure."""

import unicodedata


def fold(text: str) -> str:
    """Return what two spellings of a text have in common: Unicode's case folding of its composed form."""
    if text.isascii():
        return text.lower()
    # A letter may fold to one that composes with what follows it.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
