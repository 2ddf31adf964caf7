"""What a valid name and a valid password are, wherever somebody enters one: in the console or in the shell.

An e-mail address: `email_addresses.normalize`.
"""

import unicodedata

from webhooks_app.core import visible_text

LONGEST_NAME = 100
# NIST SP 800-63B-4, section 3.1.1.2: 15 where a password is all there is, and no rules beyond length.
SHORTEST_PASSWORD = 15
LONGEST_PASSWORD = 1024


def check_name(name: str) -> str:
    """Return the name of a workspace, a person, a token or an endpoint without space around it.

    Raises ValueError with a sentence: it is something, of one line, not too long, and all of it can be seen.
    """
    name = name.strip()
    if not name:
        raise ValueError("A name must not be empty.")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"A name may have at most {LONGEST_NAME} characters; this one has {len(name)}.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise ValueError("The name holds a control character. Type it anew.")
    if visible_text.has_unseen(name):
        raise ValueError("The name holds a character that cannot be seen. Type it anew.")
    if not visible_text.is_visible(name):
        raise ValueError("The name holds nothing that can be seen by itself. Add a letter or a digit.")
    return name


def check_password(password: str) -> str:
    """Return the password. Raises ValueError with a sentence, without the password in it."""
    if len(password) < SHORTEST_PASSWORD:
        raise ValueError(f"Too short: use {SHORTEST_PASSWORD} characters or more.")
    if len(password) > LONGEST_PASSWORD:
        raise ValueError(f"A password may have at most {LONGEST_PASSWORD} characters.")
    if any("\ud800" <= character <= "\udfff" for character in password):  # from a shell of another encoding
        raise ValueError("The password is not valid UTF-8. Type it anew.")
    return password
