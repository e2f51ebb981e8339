"""What the names in annotation files mean: one rule for every format; a thing is no lesion because it is drawn."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from benchmark.annotations.class_words import (
    FILLING,
    HOLES,
    IGNORED,
    NEGATIONS,
    NEGATIVE,
    OTHER_TISSUES,
    POSITIVE,
    SPECIFIC,
    TISSUES,
)

Meaning = int | Literal["hole", "ignore"]
"""A class index (0: neither adds nor cuts), a hole in what lies around it, or an area whose cells count nowhere."""

HOLE: Literal["hole"] = "hole"
IGNORE: Literal["ignore"] = "ignore"
UNNAMED = "unclassified"
"""How an outline that nothing names is called, in messages and in the option."""

RAW: dict[str, Meaning] = {"_0": 1, "_1": 1, "_2": HOLE}
"""Groups of CAMELYON16's files."""

_CAMEL = re.compile(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])")
_ANONYMOUS = re.compile(
    r"(?:|none|null|unclassified|(?:new )?(?:annotation|annotation group|layer|region|roi|group|polygon|rectangle"
    r"|ellipse|freehand|spline|object|shape|outline) ?\d*)"
)
_MEANINGS: dict[str, Meaning] = {"hole": HOLE, "ignore": IGNORE, "negative": 0, "positive": 1}


def folded(name: str) -> str:
    """A name in one form: Unicode, accents, case, blanks, hyphens and underscores make no difference."""
    plain = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    apart = unicodedata.normalize("NFKD", _CAMEL.sub(" ", unicodedata.normalize("NFKC", plain)))
    bare = "".join(letter for letter in apart if not unicodedata.combining(letter)).casefold()
    return " ".join(re.sub(r"[\s_\-‐-―/\\|.,:;()\[\]{}\"']+", " ", bare).split())


@lru_cache(4096)
def words(name: str) -> frozenset[str]:
    """The words of a name in the singular, without numbers; their order makes no difference."""
    return frozenset(_singular(word) for word in folded(name).replace("*", " ").split() if not word.isdigit())


def says_nothing(name: str) -> bool:
    """True for no name at all, and for what viewers call an outline or a layer by themselves: `Layer 1`, `None`."""
    return bool(_ANONYMOUS.fullmatch(folded(name))) and name.strip().casefold() not in RAW


def known_meaning(name: str) -> Meaning | None:
    """What a name means by the known words of a lesion and of its surroundings; None where they do not say.

    A name that ends in `*` is one that QuPath ignores: `Region*` frames what was looked at and means nothing, any other
    is an area to ignore, unless the words before it are those of a lesion.
    """
    raw = RAW.get(name.strip().casefold())
    if raw is not None:
        return raw
    own = words(name)
    found = _by_words(own)
    if name.rstrip().endswith("*"):
        if own and own <= {"region", "roi", "area"}:
            return 0
        return None if found == 1 else IGNORE
    return found


def is_frame(name: str) -> bool:
    """True for `Region*`: an area that was looked at, no class."""
    return name.rstrip().endswith("*") and known_meaning(name) == 0


def is_other_tissue(name: str) -> bool:
    """True for the name of a tissue that is not the lesion it may be grouped with."""
    return bool(words(name) & OTHER_TISSUES)


@dataclass(frozen=True)
class ClassNames:
    """The names of one dataset: what its option maps, its own class names, then the known words.

    `classes`: names of the classes, the negative one first. `given`: name → meaning, as the option `classes` has it; it
    wins. The known words of a lesion apply where there are two classes, a lesion and what surrounds it.
    """

    classes: tuple[str, ...] = ("normal", "tumor")
    given: Mapping[str, Meaning] = field(default_factory=dict)

    def meaning(self, name: str) -> Meaning | None:
        """What a name means, None when nothing says it."""
        plain = folded(name) + "*" * name.rstrip().endswith("*")
        for table in (self._given, self._own):
            for key in (plain, " ".join(sorted(words(name))) + "*" * name.rstrip().endswith("*")):
                if key in table:
                    return table[key]
        found = known_meaning(name)
        if not isinstance(found, int) or is_frame(name):
            return found
        negative, positive = (known_meaning(own) for own in (self.classes[0], self.classes[-1]))
        if negative == 1 or positive == 0:  # the classes are not lesion and what surrounds it
            return None
        if found == 1 and (len(self.classes) != 2 or (positive != 1 and words(name) & SPECIFIC)):
            return None
        return found

    @property
    def _given(self) -> dict[str, Meaning]:
        return _spelled(self.given)

    @property
    def _own(self) -> dict[str, Meaning]:
        return _spelled({name: index for index, name in enumerate(self.classes)})

    @property
    def option(self) -> str:
        """What the option may be set to, in words."""
        numbers = ", ".join(f"{index}: {name}" for index, name in enumerate(self.classes))
        return f"{numbers}, ignore: counts nowhere, hole: cut out of what lies around it"


def read_classes(text: str, classes: int = 128) -> dict[str, Meaning]:
    """The option `classes`: `Stroma=0,Invasive=1,Fold=ignore,Lumen=hole` → name → meaning.

    A name with a comma is quoted together with its value: `"Stroma, dense=0"`. Semicolons may stand for all the commas,
    for a cell of a table has to be quoted otherwise. Raises `ValueError` for anything else.
    """
    found: dict[str, Meaning] = {}
    apart = ";" if "," not in text and all("=" in part for part in text.split(";")) else ","  # as a CSV cell has it
    for part in next(csv.reader([text], delimiter=apart, skipinitialspace=True), []):
        name, equals, value = part.rpartition("=")
        key, word = name.strip(), value.strip().casefold()
        if not equals or not key:
            raise ValueError(f"classes: {part.strip()!r} is no name=value; write classes='Stroma=0,Invasive=1'")
        meaning: Meaning | None = int(word) if word.isdecimal() else _MEANINGS.get(word)
        if meaning is None or (isinstance(meaning, int) and meaning >= classes):
            expected = f"0 to {classes - 1}" if classes <= 9 else "a class index"
            raise ValueError(f"classes: {key!r} has the value {value.strip()!r}; expected {expected}, ignore or hole")
        if any(folded(key) == folded(other) and own != meaning for other, own in found.items()):
            raise ValueError(f"classes: {key!r} is there twice")
        found[key] = meaning
    return found


def _spelled(table: Mapping[str, Meaning]) -> dict[str, Meaning]:
    """The names as they are folded, and by their words where those tell them apart."""
    exact = {folded(name) + "*" * name.rstrip().endswith("*"): meaning for name, meaning in table.items()}
    loose: dict[str, Meaning] = {}
    doubtful = set()
    for name, meaning in table.items():
        key = " ".join(sorted(words(name))) + "*" * name.rstrip().endswith("*")
        if key.strip("*") and loose.setdefault(key, meaning) != meaning:
            doubtful.add(key)
    return {**{key: meaning for key, meaning in loose.items() if key not in doubtful}, **exact}


def _by_words(own: frozenset[str]) -> Meaning | None:
    rest = own - FILLING
    if rest & HOLES:
        return HOLE
    if rest & IGNORED:
        return IGNORE
    positive, negative, negated = rest & POSITIVE, rest & NEGATIVE, rest & NEGATIONS
    if negative and not positive and not negated and rest <= NEGATIVE | TISSUES:
        return 0
    if positive and negated and rest <= POSITIVE | NEGATIONS:
        return 0
    return 1 if positive and rest <= POSITIVE else None


def _singular(word: str) -> str:
    """`metastases` → `metastase`, `lesions` → `lesion`; short words and those in `-ss`, `-us`, `-is` stay."""
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
