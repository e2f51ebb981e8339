"""Which slides take part, which of them train, and which test."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.dataset import Split
from benchmark.slides import Slide

from ..folds import patient_folds, validation_patients
from .cases import Case

LOWEST, HIGHEST = 0.1, 0.9
"""Lesion cells over tissue cells. Source: LC-MIL, section IV; the paper does not say of what the ratio is taken."""


@dataclass(frozen=True)
class Dealt:
    """The slides of each split, the split of each slide (also of those not used), and two lists of id → why.

    `missing`: slides that cannot be used. `excluded`: slides that the options leave out.
    """

    slides: Mapping[Split, list[Slide]]
    parts: Mapping[str, Split]
    missing: Mapping[str, str]
    excluded: Mapping[str, str]


def lcmil_split(cases: Sequence[Case], listed: Container[str]) -> dict[str, Split]:
    """The paper's slides test, every other slide with a lesion trains; slides without one have no part in it."""
    return {
        case.id: Split.TEST if case.id in listed else Split.TRAIN for case in cases if case.id in listed or case.lesion
    }


def official_split(cases: Sequence[Case]) -> dict[str, Split]:
    """As the folders say."""
    return {case.id: Split(case.part) for case in cases}


def fold_split(cases: Sequence[Case], folds: int, fold: int, seed: int) -> dict[str, Split]:
    """Whole patients dealt into folds, one of which tests. Absent slides are dealt too, so the others stay put."""
    dealt = patient_folds([case.patient for case in cases], [str(case.lesion) for case in cases], folds, seed)
    return {case.id: Split.TEST if own == fold else Split.TRAIN for case, own in zip(cases, dealt, strict=True)}


def set_aside(training: Sequence[Case], share: float, seed: int) -> frozenset[str]:
    """Ids of the training slides kept for validation: about `share` of them, whole patients."""
    if not training:
        return frozenset()
    strata = [str(case.lesion) for case in training]
    aside = validation_patients([case.patient for case in training], strata, share, seed)
    return frozenset(case.id for case in training if case.patient in aside)


def lesion_share(lesion: NDArray[np.bool_], tissue: NDArray[np.bool_]) -> float:
    """Share of the tissue cells that hold a lesion; both masks: rows × cols."""
    return float(lesion[tissue].mean())


def exclusion(case: Case, share: float) -> str | None:
    """Why the paper's inclusion rule leaves a slide out, `share` of whose tissue is lesion; None when it stays."""
    if not case.exhaustive:
        return "not exhaustively annotated"
    if LOWEST <= share <= HIGHEST:
        return None
    return f"lesion in {share:.1%} of the tissue cells, not in {LOWEST:.0%} to {HIGHEST:.0%}"
