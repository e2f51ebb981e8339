"""Splits that never tear a patient apart, the same on every machine and with every library version."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.seeds import generator

DRAWS = 16
"""Random orders of the patients that are tried for a validation part; more would make all seeds agree."""


def patient_folds(patients: Sequence[str], strata: Sequence[str], folds: int, seed: int) -> list[int]:
    """The fold of every image: whole patients, every fold as like the whole in its strata as can be.

    `patients` and `strata` (for example grades) hold one entry per image. Patients are dealt out one by one,
    the most one-sided first, each to the fold where the shares of the strata then differ least over the folds
    (the greedy rule of scikit-learn's `StratifiedGroupKFold`, without its dependence on the version).

    Raises `DataError` when there are fewer patients than folds.
    """
    names, counts = _count(patients, strata)
    if len(names) < folds:
        raise DataError(f"{len(names)} patients cannot be dealt into folds={folds}", fix=f"--set folds={len(names)}")
    shuffled = generator("folds", seed).permutation(len(names))
    order = shuffled[np.argsort(-counts[shuffled].std(axis=1), kind="stable")]
    shares = counts / counts.sum(axis=0)
    filled = np.zeros((folds, counts.shape[1]))
    fold_of: dict[str, int] = {}
    for dealt, patient in enumerate(order):
        empty = [fold for fold in range(folds) if fold not in fold_of.values()]
        open_folds = empty if len(names) - dealt <= len(empty) else range(folds)
        fold = min(open_folds, key=lambda fold: _unevenness(filled, fold, shares[patient]))
        filled[fold] += shares[patient]
        fold_of[names[patient]] = fold
    return [fold_of[patient] for patient in patients]


def _unevenness(filled: NDArray[np.float64], fold: int, gain: NDArray[np.float64]) -> tuple[float, float]:
    after = filled.copy()
    after[fold] += gain
    return round(float(after.std(axis=0).mean()), 12), round(float(after[fold].sum()), 12)


def validation_patients(patients: Sequence[str], strata: Sequence[str], share: float, seed: int) -> frozenset[str]:
    """Patients to set aside for validation: about `share` of the images, in every stratum if possible.

    Of the beginnings of `DRAWS` random orders of the patients, the one is taken that leaves the fewest strata
    without an image on either side, and then comes nearest to the share, overall and per stratum, without one
    patient making up more than half of it. Where all of them leave a stratum out, single patients and pairs are
    tried too, which finds a complete pair of parts if there is one for two strata. Empty for `share` 0;
    otherwise neither side is ever empty.

    Raises `DataError` when there is only one patient.
    """
    names, counts = _count(patients, strata)
    if share == 0:
        return frozenset()
    if len(names) < 2:
        msg = f"validation={share} cannot be cut from the training part by patient: it has 1 patient"
        raise DataError(msg, fix="--set validation=0")
    rng = generator("validation", seed)
    orders = [rng.permutation(len(names)) for _ in range(DRAWS)]
    best = min(_candidate(order[:size], counts, share) for order in orders for size in range(1, len(names)))
    if best[0] > 0:
        singles = [np.array([first]) for first in range(len(names))]
        pairs = [np.array([first, second]) for first in range(len(names)) for second in range(first)]
        some = [chosen for chosen in singles + pairs if len(chosen) < len(names)]
        best = min(best, *(_candidate(chosen, counts, share) for chosen in some))
    return frozenset(names[patient] for patient in best[2])


def _candidate(
    chosen: NDArray[np.int64], counts: NDArray[np.float64], share: float
) -> tuple[int, float, tuple[int, ...]]:
    """(strata missing on one side, distance from the share in images, the patients): smaller is better."""
    taken, whole = counts[chosen].sum(axis=0), counts.sum(axis=0)
    missing = int(np.sum(taken == 0) + np.sum(taken == whole))
    off = abs(taken.sum() - share * whole.sum()) + 0.5 * np.abs(taken - share * whole).sum()
    off += max(0.0, counts[chosen].sum(axis=1).max() - taken.sum() / 2)
    return missing, round(float(off), 9), tuple(sorted(chosen.tolist()))


def _count(patients: Sequence[str], strata: Sequence[str]) -> tuple[list[str], NDArray[np.float64]]:
    """Sorted patients, and their images per stratum: patients × strata."""
    names, kinds = sorted(set(patients)), sorted(set(strata))
    counts = np.zeros((len(names), len(kinds)))
    for patient, stratum in zip(patients, strata, strict=True):
        counts[names.index(patient), kinds.index(stratum)] += 1
    return names, counts
