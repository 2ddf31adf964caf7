"""E-mail addresses: one spelling each, by IDNA 2008, and a sentence for what is none."""

import pytest

from webhooks_app.accounts import email_addresses


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        (" Anna@Example.COM ", "anna@example.com"),
        ("anna@straße.de", "anna@xn--strae-oqa.de"),  # IDNA 2003 makes strasse.de of it: somebody else's
        ("anna@xn--strae-oqa.de", "anna@xn--strae-oqa.de"),
        ("anna@BÜCHER.example", "anna@xn--bcher-kva.example"),
        ("anna@bücher。example", "anna@xn--bcher-kva.example"),  # an ideographic full stop
        ("Ünal@example.com", "ünal@example.com"),
        ("u\u0308nal@example.com", "ünal@example.com"),
        ("a+webhooks@mail.corp.local", "a+webhooks@mail.corp.local"),
        ("root@localhost", "root@localhost"),
    ],
)
def test_each_address_has_one_spelling(typed: str, normal: str) -> None:
    assert email_addresses.normalize(typed) == normal
    assert email_addresses.normalize(normal) == normal


@pytest.mark.parametrize(
    "typed",
    [
        *("", "notanemail", "@example.com", "anna@", "a b@example.com", '"a b"@example.com', "a@b@c.example"),
        *(
            "a@[192.0.2.1]",
            "Anna <a@example.com>",
            "a@b..example",
            "a@-b.example",
            "a@b.example\nCc: b@c.de",
        ),
        *("a@\u200bexample.com", "a\u202e@example.com", "a\0@example.com", "a@" + "b" * 250 + ".de"),
        *("ä" * 60 + "@" + "ä" * 60 + ".de", "a@xn--zzzzzz99.de", "a,b@example.com", "\ud800@example.com"),
        *("a\u3164@example.com", "\u2800@example.com", "a\u115f@example.com"),
    ],
)
def test_what_is_no_address_is_refused_with_a_sentence(typed: str) -> None:
    with pytest.raises(ValueError, match=r"^(Enter an e-mail|An e-mail|The e-mail) address .*\.$"):
        email_addresses.normalize(typed)
