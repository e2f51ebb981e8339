"""Words for the two labels of a slide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from benchmark.errors import DataError

from .table import Row

NEGATIVE = ("normal", "negative", "benign", "0")
POSITIVE = ("tumor", "tumour", "positive", "malignant", "lesion", "cancer", "1")

SHOWN = 8
"""Labels named in a message; the rest are counted."""


def known_word(word: str) -> bool | None:
    """True for a word that means positive, False for one that means negative (any case), None for any other."""
    text = word.strip().lower()
    if text in POSITIVE:
        return True
    return False if text in NEGATIVE else None


def read_labels(rows: Sequence[Row], negative: str | None, positive: str | None) -> tuple[list[bool], tuple[str, str]]:
    """Of every row whether it is positive, and the names of the classes, the negative one first.

    `negative`, `positive`: the label of a class where it is not one of the known words; such a label then is the
    only one of its class. Raises `DataError` for any other label, listing those that were found.
    """
    words = (
        frozenset([negative.strip().lower()] if negative is not None else NEGATIVE),
        frozenset([positive.strip().lower()] if positive is not None else POSITIVE),
    )
    both = sorted(words[0] & words[1])
    if both:
        msg = f"the label {both[0]!r} cannot mean both classes (negative={negative}, positive={positive})"
        raise DataError(msg, fix="--set negative=LABEL --set positive=LABEL")
    labels = []
    for row in rows:
        label = row["label"].lower()
        if label not in words[0] | words[1]:
            raise _unknown(row, rows, words)
        labels.append(label in words[1])
    names = [
        given.strip()
        if given
        else min((row["label"] for row, own in zip(rows, labels, strict=True) if own is side), default="")
        for given, side in ((negative, False), (positive, True))
    ]
    return labels, (names[0] or NEGATIVE[0], names[1] or POSITIVE[0])


def _unknown(row: Row, rows: Sequence[Row], words: tuple[frozenset[str], frozenset[str]]) -> DataError:
    counts = Counter(other["label"] for other in rows).most_common()
    found = ", ".join(f"{label!r} ({count} rows)" for label, count in counts[:SHOWN])
    more = f" and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
    known = " or ".join(("|".join(sorted(words[0])), "|".join(sorted(words[1]))))
    msg = f"{row.where}: the label {row['label']!r} is not known; expected {known}. Labels found: {found}{more}"
    naming = "--set negative=LABEL --set positive=LABEL   (which label means which class)"
    return DataError(msg, fix=naming if len(counts) <= len(words) else f"correct {row.where}, or {naming}")
