"""Which slides train and which test."""

from __future__ import annotations

from collections.abc import Container, Sequence

from benchmark.dataset import Split

from ..folds import patient_folds, validation_patients
from .cases import Case


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
