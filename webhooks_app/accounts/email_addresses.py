"""Bring e-mail addresses to the one spelling under which accounts and log-ins find each other."""

import email_validator
from email_validator import EmailNotValidError

from webhooks_app.core import visible_text

LONGEST_EMAIL = 254  # RFC 5321, section 4.5.3.1.3: a path of 256, less its angle brackets

# Installations inside a company's network have mailboxes at `mail.corp.local` or `localhost`, which the
# library refuses by this list only; it documents the list as one to change.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


def normalize(address: str) -> str:
    """Return the address in lower case, its domain in ASCII (IDNA 2008, RFC 5891): one address, one account.

    Raises ValueError with a sentence for whoever typed it. Nothing is looked up.
    """
    try:
        found = email_validator.validate_email(
            address.strip(), check_deliverability=False, globally_deliverable=False
        )
    except EmailNotValidError as error:
        raise ValueError(f"Enter an e-mail address such as name@example.com. {_as_sentence(error)}") from None
    if visible_text.has_unseen(found.local_part):
        raise ValueError("The e-mail address holds a character that cannot be seen. Type it anew.")
    normal = f"{found.local_part.lower()}@{found.ascii_domain}"
    if len(normal) > LONGEST_EMAIL:
        raise ValueError(f"An e-mail address may have at most {LONGEST_EMAIL} characters.")
    return normal


def _as_sentence(error: EmailNotValidError) -> str:
    return str(error).replace("email", "e-mail")
