"""Names of emotions and persons as people type them: cleaned, compared, or refused. No torch."""

import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from crnn.errors import require

RESERVED = "uncertain"  # the decision where no emotion is sure enough
MISSING = frozenset({"", "nan", "na", "n/a", "#n/a", "#na", "<na>", "nat", "none", "null", "nil", "(none)", "(null)"})
"""How programs write that there is no value"""
TRUTH = frozenset({"true", "false", "yes", "no"})
QUOTES = "\"'`´“”„‟‘’‚‛«»‹›″"
JOINERS = "\u200c\u200d"
"""Invisible, but part of the spelling in some scripts"""
LONGEST = 40
LATIN_ACCENTS = re.compile("([A-Za-z\u0370-\u03ff\u0400-\u04ff])[\u0300-\u036f]+")
"""On decomposed text; also those of Greek and Cyrillic. Marks of other scripts are vowels"""
UMLAUTS = re.compile("([AOUaou])\u0308")
TYPED = {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae", "Æ": "Ae", "ı": "i"}
"""Letters that decompose into none"""


def clean(text: str) -> str:
    """Composed Unicode without invisible characters, outer quotes, and space around or twice within.

    >>> clean('  "Very\\xa0 Happy" ')
    'Very Happy'
    """
    text = "".join(c for c in text if c in JOINERS or not _is_invisible(c))
    text = " ".join(unicodedata.normalize("NFC", text).split())
    while len(text) > 1 and text[0] in QUOTES and text[-1] in QUOTES:
        text = text[1:-1].strip()
    return text


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"  # variation selectors


def is_missing(text: str) -> bool:
    """Whether a cell says that there is no value.

    >>> is_missing("NaN"), is_missing("neutral")
    (True, False)
    """
    return clean(text).lower() in MISSING


def emotion_name(text: str, where: str) -> str:
    """Cleaned and lower-cased. Raises InputError, beginning with `where`, if it is no name.

    >>> emotion_name("  Very  Happy ", "line 3: emotion")
    'very happy'
    """
    name = _name(text, where).lower()
    require(len(name) <= LONGEST, f"{where} {name[:LONGEST]!r}: give up to {LONGEST} printable characters")
    require(name != RESERVED, f"{where} {name!r}: this word is reserved for decisions that are not sure; use another")
    require(
        any(unicodedata.category(c)[0] == "L" for c in name) and not _is_number(name),
        f"{where} {name!r} is a number or a sign; write the emotion's name",
    )
    require(not set(name) & set(",;|"), f"{where} {name!r} looks like several; give one emotion per recording")
    return name


def speaker_name(text: str, where: str) -> str:
    """Cleaned; capitals stay. Raises InputError, beginning with `where`, if it is no name."""
    name = _name(text, where)
    require(any(c.isalnum() for c in name), f"{where} {name!r} has no letter and no digit; name the person")
    return name


def _name(text: str, where: str) -> str:
    name = clean(text)
    require(bool(name), f"{where} is empty")
    require(name.isprintable(), f"{where} {name[:LONGEST]!r}: holds control characters")
    lower = name.lower()
    require(lower not in MISSING, f"{where} is {name!r}, a missing value; fill it in, or delete the row")
    require(lower not in TRUTH, f"{where} is {name!r}, true or false, and not a name")
    called = "(" in name and set(name) & set(QUOTES)  # numpy.str_('angry'), ('angry', 1)
    structured = set(name) & set('[]{}<>"\\') or (name[0] == "(" and name[-1] == ")") or called
    require(not structured, f"{where} {name[:LONGEST]!r} is a list or an object, not one name")
    require(name[0] not in QUOTES and name[-1] not in QUOTES, f"{where} {name[:LONGEST]!r}: an unpaired quote")
    for word in name.split():
        scripts = {unicodedata.name(c, "").split(" ")[0] for c in word if c.isalpha()}
        mixed = scripts & {"LATIN", "CYRILLIC", "GREEK"}
        require(len(mixed) < 2, f"{where} {name[:LONGEST]!r}: one word in two alphabets ({', '.join(sorted(mixed))})")
    return name


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def likeness(name: str) -> tuple[str, ...]:
    """What two spellings of one name have in common: no case, no signs, no leading zeros.

    >>> likeness("S01") == likeness("s_1"), likeness("1.0") == likeness("01"), likeness("1-11") == likeness("11-1")
    (True, True, False)
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    if re.fullmatch(r"\d+[.,]0+", folded):  # a whole number as pandas writes it
        folded = re.split(r"[.,]", folded)[0]
    elif re.fullmatch(r"\d+([.]\d+)?e[+]?\d{1,2}", folded):  # and as Excel does
        folded = f"{float(folded):.0f}"
    tokens = []
    for kind, characters in itertools.groupby(folded, key=_kind):
        token = "".join(characters)
        if kind == "digits":
            tokens.append(str(int(token)) if token.isdecimal() else token)
        elif kind == "letters":
            tokens.append(token)
    return tuple(tokens) or (folded,)


def _kind(character: str) -> str:
    # Vowel signs of many scripts are marks: they belong to the letters.
    return {"L": "letters", "M": "letters", "N": "digits"}.get(unicodedata.category(character)[0], "")


def _likenesses(name: str) -> set[tuple[str, ...]]:
    """`likeness` of a name, and of how it is typed where there are no accents, or surname first."""
    letters = unicodedata.normalize("NFD", name.replace("ß", "ss"))
    without = LATIN_ACCENTS.sub(r"\1", letters)
    typed = {name, without, LATIN_ACCENTS.sub(r"\1", UMLAUTS.sub(r"\1e", letters))}
    for foreign, plain in TYPED.items():
        typed |= {form.replace(foreign, plain) for form in typed}
    alike = {likeness(form) for form in typed}
    # The order of digits (1-11 and 11-1) and of initials counts.
    words = {key for key in alike if len(key) > 1 and all(len(word) > 1 and word.isalpha() for word in key)}
    return alike | {tuple(sorted(key)) for key in words}


def spellings(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of different names that are likely one, each sorted.

    >>> spellings(["Dörte", "Doerte", "Dora", "Li Wei", "Wei, Li"])
    [('Doerte', 'Dörte'), ('Li Wei', 'Wei, Li')]
    """
    groups = defaultdict(set)
    for name in names:
        for key in _likenesses(name):
            groups[key].add(name)
    found = {tuple(sorted(group)) for group in groups.values() if len(group) > 1}
    return sorted(group for group in found if not any(set(group) < set(other) for other in found))
