"""URLs as people may read them: without the parts that would give a reader access. Pure.

All values of the query are masked, as they often hold a credential. A path is mostly words, so only those
parts of it are masked that look generated, as in the hooks of Slack, Discord and Teams. The rule is about
shape and is no list of services: a long run of letters and digits in an order that words do not have.
Shorter keys are recognised by their position: after an account's number in the path of a hook, as Zapier's.
"""

import re

from webhooks_app.core import letter_pairs
from webhooks_app.core.text_display import MASK

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_SHORTEST_RUN = 16
_RUN = re.compile(rf"[A-Za-z0-9]{{{_SHORTEST_RUN},}}")
_ACCOUNT, _SHORT_KEY = re.compile("[0-9]{5,}"), re.compile("[A-Za-z0-9]{6,}")
# What a token in Base64 has between its runs, as words have that are joined by them.
_JOINED = re.compile(r"[A-Za-z0-9_~=-]{20,}")
_CAMEL_CASE = re.compile(r"[a-z]*(?:[A-Z][a-z]+|[A-Z]{2,5})*")
_LONGEST_CAPITALS = 20
_LETTERS_PER_CAPITAL, _SHORT_WORD = 4, 8
# A year or a version stands before words or behind them.
_MOST_CHANGES = 1
_CHANGE = re.compile(r"(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")


def mask_url(url: str) -> str:
    """Return the URL with MASK for its user, what looks random in its path, and its query's values."""
    address, mark, query = url.partition("?")
    scheme, separator, rest = address.partition("://")
    if separator:
        host, slash, path = rest.partition("/")
        _user, at, host = host.rpartition("@")
        shown = f"{MASK}@{host}" if at else host
        address = f"{scheme}://{shown}{slash}{_mask_path(path)}"
    return address + mark + "&".join(_mask_argument(each) for each in query.split("&"))


def _mask_path(path: str) -> str:
    parts = path.split("/")
    shown = [MASK if looks_random(part) else part for part in parts]
    for number in range(1, len(parts)):
        if _is_key_of_account(parts[: number + 1]):
            shown[number] = MASK
    return "/".join(shown)


def _is_key_of_account(parts: list[str]) -> bool:
    """Return whether the last part is a short key behind an account's number, in the path of a hook."""
    *above, account, key = parts
    return (
        _ACCOUNT.fullmatch(account) is not None
        and _SHORT_KEY.fullmatch(key) is not None
        and "hook" in "/".join(above).lower()
        and not (len(_CHANGE.findall(key)) <= _MOST_CHANGES and letter_pairs.could_be_words(_letters(key)))
    )


def looks_random(part: str) -> bool:
    """Return whether a part of a path looks made by a machine and not named by a person."""
    runs = _RUN.findall(part)
    return (
        _UUID.search(part) is not None
        or not all(map(_is_word, runs))
        or any(map(_is_mostly_odd, _JOINED.findall(part)))
    )


def _is_word(run: str) -> bool:
    """Return whether letters and digits in a row are a word, several in camel case, or a number."""
    letters = _letters(run)
    if len(letters) >= _SHORTEST_RUN and not letter_pairs.could_be_words(letters):
        return False
    if letters.isupper() and len(letters) >= _LONGEST_CAPITALS:
        return False
    capitals, changes = len(re.findall("[A-Z]+", letters)), len(_CHANGE.findall(run))
    is_scattered = len(letters) > _SHORT_WORD and len(letters) < _LETTERS_PER_CAPITAL * capitals
    return changes <= _MOST_CHANGES and not is_scattered and _CAMEL_CASE.fullmatch(letters) is not None


def _letters(run: str) -> str:
    return re.sub("[0-9]", "", run)


def _is_mostly_odd(joined: str) -> bool:
    """Return whether most of what stands between dashes is neither a word nor a number."""
    parts = re.findall("[A-Za-z0-9]+", joined)
    odd = [part for part in parts if not _is_word(part)]
    return sum(map(len, odd)) * 2 > sum(map(len, parts))


def _mask_argument(argument: str) -> str:
    name, sign, value = argument.partition("=")
    if not value.strip("="):  # a value by itself, which Base64 may end in such signs
        return MASK if name or sign else ""
    return f"{name}={MASK}"
