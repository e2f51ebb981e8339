"""Leave one centre out: the slides of one centre test, those of all others train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.dataset import Split
from benchmark.errors import DataError
from benchmark.near_names import did_you_mean, near_names

from .cases import Case


def centre_split(cases: Sequence[Case], centres: Mapping[str, str], centre: str, table: Path) -> dict[str, Split]:
    """The split of every slide; a manifest's own splits do not count.

    Args:
        cases: the slides.
        centres: id → centre, of those whose row names one.
        centre: the one that tests.
        table: the manifest, for messages.

    Raises:
        DataError: no column or an empty cell, an unknown centre, one centre only, a patient in the centre and outside.
    """
    edit = f"edit {table}: every row names its centre"
    if not centres:
        raise DataError(f"centre={centre}: {table} has no column centre, or an empty one", fix=edit)
    bare = next((case for case in cases if case.id not in centres), None)
    if bare is not None:
        raise DataError(f"{bare.where}: no centre, and centre={centre} leaves one out", fix=edit)
    counts = Counter(centres.values())
    if centre not in counts:
        known = ", ".join(f"{name} ({number} slides)" for name, number in sorted(counts.items()))
        near = near_names(centre, counts)
        hint = f"; {did_you_mean(near)}" if near else ""
        msg = f"{table} names no centre {centre!r}{hint}; it has {known}"
        raise DataError(msg, fix=f"--set dataset.centre={near[0] if near else sorted(counts)[0]}")
    if len(counts) == 1:
        msg = f"all {len(cases)} slides of {table} are of the centre {centre!r}: none is left to train on"
        raise DataError(msg, fix="leave centre=… out: test slides are then cut by patient")
    inside = {case.patient: case for case in cases if centres[case.id] == centre}
    for case in cases:
        twin = inside.get(case.patient)
        if twin is not None and centres[case.id] != centre:
            msg = f"{case.where}: patient {case.patient!r} is of the centre {centres[case.id]!r}"
            msg += f", and of {centre!r} in {twin.where}: a patient would train and test"
            raise DataError(msg, fix=f"edit {table}: all slides of a patient are of one centre")
    return {case.id: Split.TEST if centres[case.id] == centre else Split.TRAIN for case in cases}
