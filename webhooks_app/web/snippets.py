"""Verification code to copy. A language is an entry here and its files in `templates/snippets/`."""

from typing import NamedTuple

LIBRARY = "With the library"
PLAIN = "Without a library"


class Snippet(NamedTuple):
    """`file` is rendered as text, with the header names and the tolerance filled in.

    `tested`: the project's tests run this code, as shown, on deliveries that the platform signed.
    """

    title: str
    note: str
    file: str
    tested: bool = True


class Language(NamedTuple):
    key: str
    label: str
    snippets: tuple[Snippet, ...]


def _language(key: str, label: str, library: str, plain: str, *, library_tested: bool = True) -> Language:
    """The library's snippet first; `library` and `plain` are their notes."""
    return Language(
        key,
        label,
        (
            Snippet(LIBRARY, library, f"{key}_library.txt", library_tested),
            Snippet(PLAIN, plain, f"{key}.txt"),
        ),
    )


_RUST = "cargo add base64@0.22 hmac@0.13 http@1 sha2@0.11"
_SHELL = "bash with openssl, which has the key on its command line"

LANGUAGES = {
    language.key: language
    for language in (
        _language("python", "Python", "pip install standardwebhooks", "Python 3.9 or newer"),
        _language("javascript", "JavaScript", "npm install standardwebhooks", "Node.js 18 or newer"),
        _language("typescript", "TypeScript", "npm install standardwebhooks", "Node.js 18 or newer"),
        _language(
            "go",
            "Go",
            "go get github.com/standard-webhooks/standard-webhooks/libraries",
            "Standard library only",
        ),
        # The registries of these three libraries are not among those that the tests can count on.
        _language("ruby", "Ruby", "gem install standardwebhooks", "Ruby 3.0 or newer", library_tested=False),
        _language(
            "php",
            "PHP",
            "composer require standard-webhooks/standard-webhooks",
            "PHP 8.0 or newer",
            library_tested=False,
        ),
        _language("java", "Java", "Maven: com.standardwebhooks:standardwebhooks:1.1.1", "Java 8 or newer"),
        _language(
            "csharp",
            "C#",
            "dotnet add package StandardWebhooks",
            ".NET 5 or newer, or Mono",
            library_tested=False,
        ),
        _language("rust", "Rust", "cargo add standardwebhooks@1 http@1", _RUST),
        Language("shell", "Shell", (Snippet(PLAIN, _SHELL, "shell.txt"),)),
    )
}
DEFAULT = next(iter(LANGUAGES))
