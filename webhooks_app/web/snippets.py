"""Verification code to copy. A language or framework is an entry here, its files in `templates/snippets/`."""

from typing import NamedTuple

LIBRARY = "With the library"
PLAIN = "Without a library"
SECRET_VARIABLE = "WEBHOOK_SECRET"  # where the code for a framework reads the secret


class Snippet(NamedTuple):
    """`file` is rendered as text, with the header names and the tolerance filled in.

    `tested`: with which versions of what the project's tests run this code, as shown, on deliveries that the
    platform signed; nothing where they do not run it.
    """

    title: str
    note: str
    file: str
    tested: tuple[str, ...] = ()


class Framework(NamedTuple):
    """What reads the request; `ANY` has the code that leaves this to its caller."""

    key: str
    label: str
    snippets: tuple[Snippet, ...]


class Language(NamedTuple):
    key: str
    label: str
    frameworks: tuple[Framework, ...]

    def framework(self, key: str) -> Framework:
        """Return the framework of that key, the first one where there is none."""
        return next((each for each in self.frameworks if each.key == key), self.frameworks[0])


ANY = "any"
_ANY_LABEL = "Any other"


def _framework(language: str, key: str, label: str, note: str, *tested: str) -> Framework:
    title = label.partition(" (")[0]
    return Framework(key, label, (Snippet(title, note, f"{language}_{key}.txt", tested),))


def _any(
    language: str, library: str, plain: str, *, library_with: tuple[str, ...] = (), plain_with: str
) -> Framework:
    """The library's snippet first; `library` and `plain` are their notes."""
    return Framework(
        ANY,
        _ANY_LABEL,
        (
            Snippet(LIBRARY, library, f"{language}_library.txt", library_with),
            Snippet(PLAIN, plain, f"{language}.txt", (plain_with,)),
        ),
    )


_LIBRARY = ("standardwebhooks 1.1.1",)
_EXPRESS = "Express 4 or 5, Node.js 18 or newer"
_FETCH_LABEL = "Fetch (Next.js, Hono, Bun)"
_FETCH = "The Request of Fetch; elsewhere than in Node and Bun, read the secret as your platform does"
_FETCH_WITH = ("Hono 4.13.19", "Node.js 20")
_CRATES = "base64@0.22 hmac@0.13 sha2@0.11"
_SHELL = "bash with openssl, which has the key on its command line"

_ALL = (
    Language(
        "python",
        "Python",
        (
            _framework("python", "flask", "Flask", "Flask 2 or newer", "Flask 3.1.3"),
            _framework("python", "fastapi", "FastAPI", "Python 3.9 or newer", "FastAPI 0.165.0"),
            _framework("python", "django", "Django", "Django 3.2 or newer", "Django 5.2.19"),
            _any(
                *("python", "pip install standardwebhooks", "Python 3.9 or newer"),
                library_with=("standardwebhooks 1.1.0",),
                plain_with="Python 3.11",
            ),
        ),
    ),
    Language(
        "javascript",
        "JavaScript",
        (
            _framework("javascript", "express", "Express", _EXPRESS, "Express 5.3.0"),
            _framework("javascript", "fetch", _FETCH_LABEL, _FETCH, *_FETCH_WITH),
            _any(
                *("javascript", "npm install standardwebhooks", "Node.js 18 or newer"),
                library_with=_LIBRARY,
                plain_with="Node.js 20",
            ),
        ),
    ),
    Language(
        "typescript",
        "TypeScript",
        (
            _framework(
                *("typescript", "express", "Express", f"{_EXPRESS}, @types/express"),
                *("Express 5.3.0", "TypeScript 5.9.3"),
            ),
            _framework(
                *("typescript", "fetch", _FETCH_LABEL, _FETCH, *_FETCH_WITH),
                "TypeScript 5.9.3",
            ),
            _any(
                *("typescript", "npm install standardwebhooks", "Node.js 18 or newer, @types/node"),
                library_with=(*_LIBRARY, "TypeScript 5.9.3"),
                plain_with="TypeScript 5.9.3",
            ),
        ),
    ),
    Language(
        "go",
        "Go",
        (
            _framework("go", "http", "net/http", "Go 1.22 or newer", "Go 1.26"),
            _any(
                *("go", "go get github.com/standard-webhooks/standard-webhooks/libraries"),
                "Standard library only",
                library_with=("standard-webhooks/libraries 0.0.1",),
                plain_with="Go 1.26",
            ),
        ),
    ),
    # The registries of the libraries for Ruby, PHP and C# are not among those that the tests can count on.
    Language(
        "ruby",
        "Ruby",
        (
            _framework("ruby", "rails", "Rails", "Rails 6 or newer", "Rails 6.1"),
            _any("ruby", "gem install standardwebhooks", "Ruby 3.0 or newer", plain_with="Ruby 3.1"),
        ),
    ),
    Language(
        "php",
        "PHP",
        (
            _framework("php", "laravel", "Laravel", "Laravel 8 or newer", "Laravel 8.83"),
            _any(
                *("php", "composer require standard-webhooks/standard-webhooks", "PHP 8.0 or newer"),
                plain_with="PHP 8.2",
            ),
        ),
    ),
    Language(
        "java",
        "Java",
        (
            _framework("java", "spring", "Spring Boot", "Spring Boot 3 or 4", "Spring Boot 4.1.2"),
            _any(
                *("java", "Maven: com.standardwebhooks:standardwebhooks:1.1.1", "Java 8 or newer"),
                library_with=_LIBRARY,
                plain_with="OpenJDK 17",
            ),
        ),
    ),
    Language(
        "csharp",
        "C#",
        (
            # No SDK of .NET is to be had from Debian; what verifies is the same code that Mono runs.
            _framework("csharp", "aspnet", "ASP.NET Core", ".NET 6 or newer; only Verify is run, with Mono"),
            _any(
                *("csharp", "dotnet add package StandardWebhooks", ".NET 5 or newer, or Mono"),
                plain_with="Mono 6.8",
            ),
        ),
    ),
    Language(
        "rust",
        "Rust",
        (
            _framework("rust", "axum", "axum", f"cargo add axum@0.8 {_CRATES}", "axum 0.8.9"),
            _any(
                *("rust", "cargo add standardwebhooks@1 http@1", f"cargo add http@1 {_CRATES}"),
                library_with=("standardwebhooks 1.0.1",),
                plain_with="Rust 1.95",
            ),
        ),
    ),
    Language(
        "shell",
        "Shell",
        (Framework(ANY, _ANY_LABEL, (Snippet(PLAIN, _SHELL, "shell.txt", ("OpenSSL 3.0",)),)),),
    ),
)
LANGUAGES = {language.key: language for language in _ALL}
DEFAULT = next(iter(LANGUAGES))
