"""Encoders that were pre-trained on the cohort they are tested on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.audit.findings import ENCODER, AuditFinding

if TYPE_CHECKING:
    from benchmark.dataset import Dataset
    from benchmark.method import Method

SHORTEST = 3
"""Letters and digits of a word that may name a cohort."""

GENERIC = frozenset({"bags", "images", "patches", "slides", "test", "tiles", "train", "val"})
"""Words of a dataset's name that name no cohort; nor does a size, such as 100K."""

_DENIED = re.compile(r"\b(?:no|not|without)\s+[\w-]+(?:\s+(?:or|nor)\s+[\w-]+)*", re.IGNORECASE)
"""`no TCGA` says what was not seen; `without labels on TCGA` denies the labels alone."""


def declared_encoders(method: Method) -> tuple[str, ...]:
    """The pre-training data of a method's networks, with its parameters: one `NAME: DATA` each.

    Read from the method's `encoders()`; without it, or when it returns None, the data is unknown.
    """
    hook = getattr(method, "encoders", None)
    declared: Sequence[str] | None = hook() if hook is not None else None
    if declared is None:
        return (f"{method.name}: unknown, the method does not say",)
    return tuple(declared) or (f"{method.name}: nothing, it starts from no weights",)


def check_encoders(dataset: Dataset, encoders: Sequence[str]) -> list[AuditFinding]:
    """Warn of every encoder whose pre-training data names the dataset as seen; note those with unknown data."""
    names = cohort_words(dataset.name, dataset.card.title)
    findings = []
    for encoder in dict.fromkeys(encoders):
        hits = tuple(sorted(names & _words(_DENIED.sub("", encoder))))
        if hits:
            text = f"pre-training data of {encoder} (names this dataset: {', '.join(hits)})"
            findings.append(AuditFinding(ENCODER, False, text, (encoder,)))
        elif not encoder.strip() or re.search(r"(^|: )unknown\b", encoder):
            text = f"pre-training data of {encoder or 'an encoder: unknown'} (may include this dataset)"
            findings.append(AuditFinding(ENCODER, None, text, (encoder,)))
        else:
            text = f"pre-training data of {encoder} (does not name this dataset)"
            findings.append(AuditFinding(ENCODER, True, text, (encoder,)))
    return findings


def cohort_words(name: str, title: str) -> frozenset[str]:
    """Lower-case words that name a cohort: those of its registry name, and the acronyms at the head of its title.

    Each counts with and without its number, because releases of one cohort overlap: an encoder trained on "CAMELYON"
    has seen camelyon16, one trained on "CAMELYON17" is not known to have.
    """
    head = re.split(r" [–—-] |[:(]", title)[0]
    acronyms = [word for word in re.findall(r"[^\W_]+", head) if re.search(r"\d|(?<=.)[A-Z]", word)]
    words = _words(name) | {word.lower() for word in acronyms}
    stems = {word.rstrip("0123456789") for word in words}
    named = (word for word in (words | stems) - GENERIC if not re.fullmatch(r"\d+k?", word))
    return frozenset(word for word in named if len(word) >= SHORTEST)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text.lower()))
