"""What the check of a whole-slide set says of slides, resolutions and patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.annotations import Note
from benchmark.dataset import Split, VerifyReport
from benchmark.errors import AnnotationError, DataError
from benchmark.slides import Slide

if TYPE_CHECKING:
    from benchmark.slides.facts import SlideFacts

SHOWN = 6
"""Slides named in one line; the rest are counted."""


def named(slides: Sequence[str]) -> str:
    """The first few ids of a list, and how many more there are."""
    more = f" and {len(slides) - SHOWN} more" if len(slides) > SHOWN else ""
    return ", ".join(slides[:SHOWN]) + more


def left_out(excluded: Mapping[str, str]) -> str:
    """How many slides the options leave out (id → why), the first few of them, and why the first."""
    first = min(excluded)
    return f"{len(excluded)} slides: {named(sorted(excluded))} ({first}: {excluded[first]})"


def check_usable(
    report: VerifyReport,
    usable: Mapping[Split, Sequence[Slide]],
    missing: Mapping[str, str],
    absent: Sequence[str],
) -> None:
    """Slides that cannot be used are faults (id → why); those that are `absent` altogether make one line."""
    for slide, why in missing.items():
        if slide not in absent:
            report.check(False, f"{slide}: {why}")
    if absent:
        first = missing[absent[0]] if len(absent) == 1 else f"the first: {missing[absent[0]]}"
        report.check(False, f"{len(absent)} expected slides are missing: {named(absent)}; {first}")
    total = sum(map(len, usable.values()))
    parts = ", ".join(f"{len(slides)} {split}" for split, slides in usable.items())
    report.check(total > 0, f"{total} slides can be read: {parts}")
    report.facts.update(usable=total, missing=len(missing))
    report.facts.update({str(split): len(slides) for split, slides in usable.items()})


def note_resolutions(report: VerifyReport, facts: Mapping[str, SlideFacts], nominal: float) -> None:
    """Resolutions, numbers of levels, notes of the headers, and the slides for which the `nominal` µm/px is taken."""
    silent = sorted(slide for slide, own in facts.items() if own.mpp is None)
    known = sorted({round(own.mpp, 4) for own in facts.values() if own.mpp is not None})
    if known:
        report.note(f"microns per pixel: {', '.join(f'{mpp:g}' for mpp in known[:SHOWN])}")
    if silent:
        report.note(f"no resolution in {named(silent)}: {nominal:g} µm/px is taken, as usual in this set")
    header = Counter(note for own in facts.values() for note in own.notes)
    for note, count in header.items():
        first = next(slide for slide, own in facts.items() if note in own.notes)
        report.note(f"{first}{f' and {count - 1} more' if count > 1 else ''}: {note}")
    levels = Counter(len(own.levels) for own in facts.values())
    report.note("levels: " + ", ".join(f"{count} slides with {number}" for number, count in sorted(levels.items())))
    report.facts["without_resolution"] = len(silent)


def check_annotations(
    report: VerifyReport,
    drawn: Sequence[Slide],
    bare: int,
    fault_of: Callable[[Slide], str | None],
    notes: Mapping[str, Sequence[Note]],
) -> None:
    """Read every annotation; what does not fit its slide is a fault, what was mended a note.

    `bare`: the number of positive slides without annotation. `fault_of`: reads what is drawn on a slide; returns or
    raises what is wrong. `notes`: slide → what was mended, complete once it was read.
    """
    unreadable = 0
    for slide in drawn:
        try:
            fault = fault_of(slide)
        except DataError as error:
            fault = f"{error.what}   → {error.fix}" if isinstance(error, AnnotationError) else error.what
            unreadable += 1
        if fault is not None:
            report.check(False, fault if slide.id in fault else f"{slide.id}: {fault}")
        for note in notes.get(slide.id, ()):
            report.note(f"{slide.id}: {note.text}")
    if drawn or not bare:
        sound = f"{len(drawn) - unreadable} of {len(drawn)} annotations can be read and fit their slides"
        report.check(not unreadable, sound)
    if bare:
        report.note(f"{bare} positive slides have no annotation: they count by their label alone")


def check_patients(report: VerifyReport, usable: Mapping[Split, Sequence[Slide]]) -> None:
    """A patient in both train (or validation) and test is a fault."""
    patients = {split: {slide.patient for slide in slides} for split, slides in usable.items()}
    shared = patients[Split.TEST] & (patients[Split.TRAIN] | patients[Split.VALIDATION])
    report.facts["patients"] = len(set().union(*patients.values()))
    report.facts["shared_patients"] = len(shared)
    report.check(not shared, f"{len(shared)} patients are in both train and test")
