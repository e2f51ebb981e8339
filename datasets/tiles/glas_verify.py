"""The check of a GlaS folder against what the challenge published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from benchmark.annotations.labelpixels import MODES
from benchmark.dataset import VerifyReport

from .glas_files import GRADES, PARTS, Case
from .glas_numbers import Numbering

OFFICIAL_COUNTS = {"train": (37, 48), "testA": (33, 27), "testB": (4, 16)}
"""Benign and malignant images of each part: 85, 60 and 20 in all."""

_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, UnidentifiedImageError, Image.DecompressionBombError)
"""What Pillow raises for broken files; a broken PNG is a SyntaxError there."""


def verify_cases(cases: Sequence[Case], notes: Sequence[str], numbers: Numbering, *, synthetic: bool) -> VerifyReport:
    """Counts, pairs, sizes, readability, whether glands are numbered, and the patients that train and test share.

    Facts: `images`, `patients`, `shared_patients`, `test_images`, `test_images_of_training_patients`, and
    `PART_GRADE` counts such as `train_benign`.
    """
    report = VerifyReport()
    for note in notes:
        report.note(note)
    _check_counts(report, cases, synthetic)
    faults = [fault for case in cases if (fault := _fault(case))]
    for fault in faults:
        report.check(False, fault)
    sound = f"{len(cases) - len(faults)} of {len(cases)} pairs"
    report.check(not faults, f"{sound} can be read, are of equal size and have at least one gland")
    for unnumbered in numbers.notes:
        report.note(unnumbered.text)
    _note_patients(report, cases)
    return report


def _check_counts(report: VerifyReport, cases: Sequence[Case], synthetic: bool) -> None:
    counts = Counter((case.part, case.grade) for case in cases)
    report.facts["images"] = len(cases)
    if synthetic:
        report.note("a miniature with painted tissue: the official counts do not apply")
    for part in PARTS:
        counted = tuple(counts[part, grade] for grade in GRADES)
        report.facts.update({f"{part}_{grade}": number for grade, number in zip(GRADES, counted, strict=True)})
        text = f"{part}: {sum(counted)} images, {counted[0]} benign and {counted[1]} malignant"
        official = OFFICIAL_COUNTS[part]
        if synthetic:
            report.note(text)
        elif counted == official:
            report.check(True, text)
        else:
            report.check(False, f"{text}; the official release has {sum(official)}: {official[0]} and {official[1]}")


def _fault(case: Case) -> str | None:
    """What is wrong with a pair of files, naming them; None if nothing is."""
    sizes = []
    for file in (case.image, case.mask):
        try:
            with Image.open(file) as image:
                image.load()
                sizes.append(image.size)
                fault = _wrong_kind(image, file, label=file == case.mask)
        except _UNREADABLE as error:
            return f"{file} cannot be read: {error}"
        if fault:
            return fault
    (width, height), (mask_width, mask_height) = sizes
    if sizes[0] != sizes[1]:
        return f"{case.image} has {width}×{height} px but {case.mask.name} has {mask_width}×{mask_height} px"
    return None


def _wrong_kind(image: Image.Image, file: Path, *, label: bool) -> str | None:
    if not label:
        return None if image.mode in ("RGB", "RGBA") else f"{file} is of mode {image.mode}; expected RGB"
    if image.mode not in MODES:
        return f"{file} is of mode {image.mode}; a label image has one whole number per pixel"
    return None if np.asarray(image).any() else f"{file} has no gland; every GlaS image contains some"


def _note_patients(report: VerifyReport, cases: Sequence[Case]) -> None:
    training = {case.patient for case in cases if case.part == "train"}
    test = [case for case in cases if case.part != "train"]
    shared = training & {case.patient for case in test}
    known = sum(case.patient in training for case in test)
    report.facts["patients"] = len({case.patient for case in cases})
    report.facts["shared_patients"] = len(shared)
    report.facts["test_images"] = len(test)
    report.facts["test_images_of_training_patients"] = known
    if shared:
        report.note(
            f"{len(shared)} patients are in both train and test: {known} of the {len(test)} test images come from "
            "patients with training images; protocol=patient keeps patients apart"
        )
