"""Verification code to copy. A language is an entry here and its files in `templates/snippets/`."""

from typing import NamedTuple


class Snippet(NamedTuple):
    """`file` is rendered as text, with the header names and the tolerance filled in."""

    title: str
    note: str
    file: str


class Language(NamedTuple):
    key: str
    label: str
    snippets: tuple[Snippet, ...]


LANGUAGES = {
    language.key: language
    for language in (
        Language(
            "python",
            "Python",
            (
                Snippet("With the library", "pip install standardwebhooks", "python_library.py.txt"),
                Snippet("Without a library", "Python 3.9 or newer", "python.py.txt"),
            ),
        ),
        Language("shell", "Shell", (Snippet("Without a library", "bash with openssl", "shell.sh.txt"),)),
    )
}
DEFAULT = next(iter(LANGUAGES))
