"""The check of a whole-slide set: every slide opened, every annotation read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from benchmark.dataset import Split, VerifyReport
from benchmark.errors import AnnotationError, DataError

if TYPE_CHECKING:
    from .wsi_dataset import WsiDataset

SHOWN = 6
"""Slides named in one line; the rest are counted."""


def verify(dataset: WsiDataset) -> VerifyReport:
    """Counts, missing and unreadable slides, resolutions, annotations and their extents, patients across splits.

    Facts: `slides`, `usable`, `missing`, `excluded`, `patients`, `shared_patients`, and the slides per split.
    """
    report = VerifyReport()
    for note in dataset.contents.notes:
        report.note(note)
    if dataset.synthetic:
        report.note("a miniature: the official counts do not apply")
    else:
        dataset.check_counts(report)
    _slides(report, dataset)
    _resolutions(report, dataset)
    _annotations(report, dataset)
    _patients(report, dataset)
    return report


def named(slides: list[str]) -> str:
    """The first few ids of a list, and how many more there are."""
    more = f" and {len(slides) - SHOWN} more" if len(slides) > SHOWN else ""
    return ", ".join(slides[:SHOWN]) + more


def _slides(report: VerifyReport, dataset: WsiDataset) -> None:
    usable = {split: dataset.slides(split) for split in Split}
    missing = {slide: why for split in Split for slide, why in dataset.missing(split).items()}
    absent = [slide for slide in missing if dataset.cases[slide].image is None] if not dataset.synthetic else []
    for slide, why in missing.items():
        if slide not in absent:
            report.check(False, f"{slide}: {why}")
    if absent:
        first = missing[absent[0]] if len(absent) == 1 else f"the first: {missing[absent[0]]}"
        report.check(False, f"{len(absent)} expected slides are not there: {named(absent)}; {first}")
    total = sum(map(len, usable.values()))
    parts = ", ".join(f"{len(slides)} {split}" for split, slides in usable.items())
    report.check(total > 0, f"{total} slides can be read: {parts}")
    if dataset.excluded:
        report.note(f"inclusion={dataset.settings.inclusion} leaves out {named(sorted(dataset.excluded))}")
    report.facts.update(slides=len(dataset.cases), usable=total, missing=len(missing), excluded=len(dataset.excluded))
    report.facts.update({str(split): len(slides) for split, slides in usable.items()})


def _resolutions(report: VerifyReport, dataset: WsiDataset) -> None:
    silent = sorted(slide for slide, facts in dataset.facts.items() if facts.mpp is None)
    known = sorted({round(facts.mpp, 4) for facts in dataset.facts.values() if facts.mpp is not None})
    if known:
        report.note(f"microns per pixel: {', '.join(f'{mpp:g}' for mpp in known[:SHOWN])}")
    if silent:
        report.note(f"no resolution in {named(silent)}: {dataset.nominal_mpp:g} µm/px is taken, as the set has it")
    levels = Counter(len(facts.levels) for facts in dataset.facts.values())
    report.note("levels: " + ", ".join(f"{count} slides with {number}" for number, count in sorted(levels.items())))
    report.facts["without_resolution"] = len(silent)


def _annotations(report: VerifyReport, dataset: WsiDataset) -> None:
    """Read every annotation; extents that do not fit are faults, repairs are notes."""
    read = faults = silent = 0
    for slide in (slide for split in Split for slide in dataset.slides(split)):
        case = dataset.cases[slide.id]
        if case.annotation is None and (not case.lesion or not dataset.annotated(slide)):
            silent += bool(case.lesion)
            continue
        try:
            truth = dataset.truth(slide)
            read += 1
            if case.lesion and truth.count() == 0:
                report.check(False, f"{slide.id}: the annotation holds no lesion")
            if case.lesion and dataset.coarse_files.in_files:
                dataset.coarse(slide)
        except DataError as error:
            faults += 1
            what = f"{error.what}   → {error.fix}" if isinstance(error, AnnotationError) else error.what
            report.check(False, what if slide.id in what else f"{slide.id}: {what}")
        for note in dataset.notes.get(slide.id, ()):
            report.note(f"{slide.id}: {note}")
    if read or faults or not silent:
        report.check(not faults, f"{read} of {read + faults} annotations can be read and fit their slides")
    if silent:
        report.note(f"{silent} positive slides have no annotation: they count by their label alone")


def _patients(report: VerifyReport, dataset: WsiDataset) -> None:
    patients = {split: {slide.patient for slide in dataset.slides(split)} for split in Split}
    shared = patients[Split.TEST] & (patients[Split.TRAIN] | patients[Split.VALIDATION])
    report.facts["patients"] = len(set().union(*patients.values()))
    report.facts["shared_patients"] = len(shared)
    report.check(not shared, f"{len(shared)} patients are in both train and test")
