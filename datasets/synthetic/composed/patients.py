"""Dealing patients out to the three splits, so that each has tissue of both classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from benchmark.dataset import Split
from benchmark.errors import DataError
from benchmark.seeds import generator

from .album import Picture

SHARES = {Split.TRAIN: 0.4, Split.VALIDATION: 0.2, Split.TEST: 0.4}
"""Of the pictures of each class, about so many for each split."""

VARIED = 3
"""Patients per class that a split should have, so that its slides differ in stain."""

LACK = 0.2
"""Share of the pictures of a class that may go astray to avoid one lack of variety."""

DRAWS = 20000
"""Random allotments that are compared."""


def patients_of(pictures: Sequence[Picture], split: Split, seed: int) -> frozenset[str]:
    """The patients of one split: no patient is in two of them, and each has benign and malignant pictures.

    Of `DRAWS` random allotments the one is taken in which most splits have a patient with pictures of both
    classes, then the one that is nearest to `SHARES` in pictures of both classes. A lack of `VARIED` patients per
    class, or of two patients with both (one suffices for validation), weighs like `LACK` of the pictures elsewhere.

    Raises `DataError` when no allotment gives every split both classes.
    """
    names = sorted({picture.patient for picture in pictures})
    counts = Counter((picture.patient, picture.positive) for picture in pictures)
    table = np.array([[counts[name, False], counts[name, True]] for name in names])
    wanted = np.array(list(SHARES.values()))
    rng = generator("tissue", "patients", seed)
    draws = rng.choice(3, (DRAWS, len(names)), p=wanted)
    member = (draws[..., None] == np.arange(3)).astype(np.int64)
    images = np.einsum("dps,pc->dsc", member, table)
    patients = np.einsum("dps,pc->dsc", member, table > 0)
    both = np.einsum("dps,p->ds", member, (table > 0).all(axis=1))
    lacking = (images == 0).any(axis=(1, 2))
    if lacking.all():
        raise DataError(
            f"{len(names)} patients cannot be parted into train, validation and test such that each part has benign "
            "and malignant images",
            fix="use the complete GlaS archive",
        )
    off = np.abs(images / table.sum(axis=0) - wanted[:, None]).sum(axis=(1, 2))
    alone = np.array([split is not Split.VALIDATION for split in SHARES]) & (both < 2)
    lacks = (patients < VARIED).sum(axis=(1, 2)) + alone.sum(axis=1)
    penalty = 10.0 * (both == 0).sum(axis=1) + LACK * lacks + off
    best = member[np.argmin(np.where(lacking, np.inf, penalty))]
    own = best[:, list(SHARES).index(split)] > 0
    return frozenset(name for name, mine in zip(names, own, strict=True) if mine)
