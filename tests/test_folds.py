from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.datasets.folds import patient_folds, validation_patients
from benchmark.errors import DataError

rows_of_one = st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["benign", "malignant"]))
images = st.lists(rows_of_one, min_size=2, max_size=60)


def both_sides_complete(rows: list[tuple[str, str]], aside: frozenset[str]) -> bool:
    grades = {grade for _, grade in rows}
    inside = {grade for patient, grade in rows if patient in aside}
    outside = {grade for patient, grade in rows if patient not in aside}
    return inside == outside == grades


@settings(max_examples=60, deadline=None)
@given(rows=images, folds=st.integers(2, 5), seed=st.integers(0, 99))
def test_folds_keep_patients_whole_and_leave_none_empty(rows: list[tuple[str, str]], folds: int, seed: int) -> None:
    patients, grades = [row[0] for row in rows], [row[1] for row in rows]
    if len(set(patients)) < folds:
        with pytest.raises(DataError, match=f"folds={folds}"):
            patient_folds(patients, grades, folds, seed)
        return
    fold_of = patient_folds(patients, grades, folds, seed)
    assert len(set(zip(patients, fold_of, strict=True))) == len(set(patients))
    assert set(fold_of) == set(range(folds))
    assert fold_of == patient_folds(patients, grades, folds, seed)


def test_folds_are_stratified() -> None:
    patients = [f"{patient}" for patient in range(20) for _ in range(4)]
    grades = ["benign" if int(patient) % 2 else "malignant" for patient in patients]
    fold_of = patient_folds(patients, grades, 5, 0)
    assert set(Counter(zip(fold_of, grades, strict=True)).values()) == {8}
    assert fold_of != patient_folds(patients, grades, 5, 1)


@settings(max_examples=60, deadline=None)
@given(rows=images, share=st.floats(0.05, 0.5), seed=st.integers(0, 99))
def test_validation_has_every_grade_on_both_sides_whenever_that_can_be(
    rows: list[tuple[str, str]], share: float, seed: int
) -> None:
    patients, grades = [row[0] for row in rows], [row[1] for row in rows]
    names = sorted(set(patients))
    if len(names) == 1:
        with pytest.raises(DataError, match="by patient"):
            validation_patients(patients, grades, share, seed)
        return
    aside = validation_patients(patients, grades, share, seed)
    assert aside and aside < set(names)
    subsets = [frozenset(n for bit, n in enumerate(names) if code >> bit & 1) for code in range(1, 2 ** len(names) - 1)]
    if any(both_sides_complete(rows, subset) for subset in subsets):
        assert both_sides_complete(rows, aside)


def test_validation_aims_at_the_share_and_follows_its_seed() -> None:
    patients = [f"{patient}" for patient in range(16) for _ in range(1 + patient % 5)]
    grades = ["benign" if int(patient) % 3 else "malignant" for patient in patients]
    parts = [validation_patients(patients, grades, 0.2, seed) for seed in range(6)]
    shares = [sum(patient in part for patient in patients) / len(patients) for part in parts]
    assert all(0.13 <= share <= 0.27 for share in shares)
    assert len(set(parts)) > 2
    assert parts[0] == validation_patients(list(reversed(patients)), list(reversed(grades)), 0.2, 0)
    assert validation_patients(patients, grades, 0.0, 0) == frozenset()


def test_one_patient_cannot_be_cut() -> None:
    with pytest.raises(DataError, match=r"validation=0\.2") as caught:
        validation_patients(["1", "1"], ["benign", "malignant"], 0.2, 0)
    assert caught.value.fix == "--set validation=0"
