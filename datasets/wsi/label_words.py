"""The words that mean one class or the other in a table of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.errors import DataError

from ..tables import Row, whole_number

NEGATIVE = ("normal", "negative", "benign", "0")
POSITIVE = ("tumor", "tumour", "positive", "malignant", "lesion", "cancer", "1")

SHOWN = 8
"""Labels named in a message; the rest are counted."""


@dataclass(frozen=True)
class LabelColumn:
    """`positive`: of every row whether it is, None where nothing is written.

    `classes`: their names, the negative one first. `notes`: what to know.
    """

    positive: tuple[bool | None, ...]
    classes: tuple[str, str]
    notes: tuple[str, ...]


def known_word(word: str) -> bool | None:
    """True for a word that means positive, False for one that means negative (any case), None for any other."""
    text = word.strip().lower()
    if text in POSITIVE:
        return True
    return False if text in NEGATIVE else None


def read_labels(rows: Sequence[Row], negative: str | None, positive: str | None) -> LabelColumn:
    """Read the column `label`. A label that a spreadsheet wrote as 1.0 is 1.

    `negative`, `positive`: the label of a class where it is not one of the known words; such a label then is the
    only one of its class. Raises `DataError` for any other label, listing those in the table.
    """
    words = (
        frozenset([negative.strip().lower()] if negative is not None else NEGATIVE),
        frozenset([positive.strip().lower()] if positive is not None else POSITIVE),
    )
    both = sorted(words[0] & words[1])
    if both:
        msg = f"the label {both[0]!r} cannot mean both classes (negative={negative}, positive={positive})"
        raise DataError(msg, fix="--set negative=LABEL --set positive=LABEL")
    labels, numbers = [], 0
    for row in rows:
        label = row["label"]
        if not label:
            labels.append("")
            continue
        if label.lower() not in words[0] | words[1] and (whole := whole_number(label)) is not None:
            label, numbers = whole, numbers + 1
        if label.lower() not in words[0] | words[1]:
            raise _unknown(row, rows, words)
        labels.append(label)
    signs = tuple(label.lower() in words[1] if label else None for label in labels)
    names = [
        given.strip()
        if given
        else min((label for label, own in zip(labels, signs, strict=True) if own is side), default="")
        for given, side in ((negative, False), (positive, True))
    ]
    notes = (f"{numbers} labels written with decimals, such as 1.0, are read as whole numbers",) if numbers else ()
    return LabelColumn(signs, (names[0] or NEGATIVE[0], names[1] or POSITIVE[0]), notes)


def _unknown(row: Row, rows: Sequence[Row], words: tuple[frozenset[str], frozenset[str]]) -> DataError:
    counts = Counter(other["label"] for other in rows).most_common()
    present = ", ".join(f"{label!r} ({count} rows)" for label, count in counts[:SHOWN])
    more = f" and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
    known = " or ".join(("|".join(sorted(words[0])), "|".join(sorted(words[1]))))
    msg = f"{row.where}: the label {row['label']!r} is not known; expected {known}. Labels found: {present}{more}"
    naming = "--set negative=LABEL --set positive=LABEL   (which label means which class)"
    return DataError(msg, fix=naming if len(counts) <= len(words) else f"correct {row.where}, or {naming}")
