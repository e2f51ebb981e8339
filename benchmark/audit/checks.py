"""The checks of an audit: what splits share, what they lack, and what else a reader of the figures must know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.audit.contents import Comparison, Twins, compare
from benchmark.audit.encoders import check_encoders
from benchmark.audit.findings import (
    BOTH_TESTS,
    CLASSES,
    COMPLETENESS,
    CONTENTS,
    DUPLICATES,
    KIND,
    PATIENTS,
    SLIDES,
    AuditFinding,
    AuditReport,
    count,
    list_some,
)
from benchmark.dataset import Split
from benchmark.errors import DataError

if TYPE_CHECKING:
    from benchmark.dataset import Dataset
    from benchmark.slides import Slide

Splits = Mapping[Split, Sequence["Slide"]]


def audit(
    dataset: Dataset, *, encoders: Sequence[str] = (), full: bool = False, cache: Path | None = None
) -> AuditReport:
    """Leaks between train, validation and test, missing slides, classes per split, and pre-training.

    Quick (the default): files of equal size are compared by sampled blocks, which takes milliseconds; unit labels are
    read until a split has shown both classes. `cache`: a folder that keeps pixel digests of tiles; with it tiles are
    compared by their pixels too, decoded once and then only when a file changes. `full`: every byte of files that
    seem equal, and all tiles decoded anew.

    `encoders`: one `NAME: DATA IT HAS SEEN` for each pre-trained network (`declared_encoders` of a method).
    """
    slides = {split: tuple(dataset.slides(split)) for split in Split}
    parts = {split: tuple(chain.from_iterable(slide.parts() for slide in part)) for split, part in slides.items()}
    images = {part.path: part for part in chain(*parts.values())}
    cohorts: Sequence[Dataset] = getattr(dataset, "cohorts", (dataset,))
    compared = compare(list(images.values()), dataset.root, full=full, cache=cache)
    unread = _unread(slides, compared.unread)
    return AuditReport(
        (
            *_kind(dataset),
            *_completeness(dataset, slides, unread),
            *_patients(slides),
            _slides(slides),
            *_contents(parts, compared),
            *_both_tests(cohorts, full=full, cache=cache),
            *_classes(dataset, slides, unread),
            *chain.from_iterable(check_encoders(own, encoders) for own in cohorts),
        )
    )


def _unread(slides: Splits, unread: Mapping[str, str]) -> dict[str, str]:
    """Why each slide cannot be read; of a set of tiles, why its first unreadable tile cannot."""
    if not unread:
        return {}
    every = chain(*slides.values())
    named = {slide.id: [part.id for part in slide.parts() if part.id in unread] for slide in every}
    return {slide: unread[first[0]] for slide, first in named.items() if first}


def _kind(dataset: Dataset) -> list[AuditFinding]:
    if not dataset.synthetic:
        return []
    return [AuditFinding(KIND, None, "synthetic: figures on it say nothing about the real cohort")]


def _completeness(dataset: Dataset, slides: Splits, unread: Mapping[str, str]) -> list[AuditFinding]:
    findings = []
    for split, used in slides.items():
        missing = {**dataset.missing(split), **{slide.id: unread[slide.id] for slide in used if slide.id in unread}}
        expected = len({slide.id for slide in used} | missing.keys())
        if not expected:
            findings.append(AuditFinding(CLASSES, None, f"{split} is empty"))
        elif missing:
            reasons = tuple(f"{slide}: {why}" for slide, why in missing.items())
            text = f"{split}: {expected - len(missing)} of {expected} slides are usable; {list_some(reasons)}"
            findings.append(AuditFinding(COMPLETENESS, False, text, reasons))
        else:
            findings.append(AuditFinding(COMPLETENESS, True, f"{split}: all {expected} slides"))
    return findings


def _patients(slides: Splits) -> list[AuditFinding]:
    where = _places((slide.patient, split) for split, part in slides.items() for slide in part)
    shared = tuple(patient for patient, splits in where.items() if len(splits) > 1)
    everything = list(chain(*slides.values()))
    findings = []
    if shared:
        known = {slide.patient for split in (Split.TRAIN, Split.VALIDATION) for slide in slides[split]}
        test = slides[Split.TEST]
        touched = sum(slide.patient in known for slide in test)
        text = (
            f"{count(len(shared), 'patient')} of {len(where)} in more than one split ({_pairs(where)}): "
            f"{list_some(shared)}; {touched} of {len(test)} test slides from patients also in train or validation"
        )
        findings.append(AuditFinding(PATIENTS, False, text, shared))
    else:
        findings.append(AuditFinding(PATIENTS, True, f"none of {count(len(where), 'patient')} in more than one split"))
    if everything and all(slide.patient == slide.id for slide in everything):
        text = (
            "every slide has a patient id of its own: shared patients cannot be found if the data do not name patients"
        )
        findings.append(AuditFinding(PATIENTS, None, text))
    return findings


def _slides(slides: Splits) -> AuditFinding:
    where = _places((slide.id, split) for split, part in slides.items() for slide in part)
    shared = tuple(slide for slide, splits in where.items() if len(splits) > 1)
    if shared:
        text = f"{count(len(shared), 'slide')} in more than one split ({_pairs(where)}): {list_some(shared)}"
        return AuditFinding(SLIDES, False, text, shared)
    return AuditFinding(SLIDES, True, f"none of {count(len(where), 'slide')} in more than one split")


def _both_tests(cohorts: Sequence[Dataset], *, full: bool, cache: Path | None) -> list[AuditFinding]:
    """Images in the test parts of two sets: for them nothing is elsewhere."""
    if len(cohorts) < 2:
        return []
    tests = [{part.path for slide in own.slides(Split.TEST) for part in slide.parts()} for own in cohorts]
    images = {part.path: part for own in cohorts for slide in own.slides(Split.TEST) for part in slide.parts()}
    twins = compare(list(images.values()), cohorts[0].root, full=full, cache=cache).twins
    shared = [group for group in twins if all(test & set(group.paths) for test in tests)]
    same = sorted(tests[0] & tests[1])
    names = tuple(images[path].id for path in [*(group.paths[0] for group in shared), *same])
    if not names:
        return [AuditFinding(BOTH_TESTS, True, "no image in the test parts of both sets")]
    text = f"{count(len(names), 'image')} in the test parts of both sets, which nothing is elsewhere for: "
    return [AuditFinding(BOTH_TESTS, False, text + list_some(names), names)]


def _contents(slides: Splits, compared: Comparison) -> list[AuditFinding]:
    """Equal contents under different names; the test slides among them are counted."""
    holders = defaultdict(list)
    for split, part in slides.items():
        for slide in part:
            holders[slide.path].append((split, slide.id))
    groups = [(twins, [holder for path in twins.paths for holder in holders[path]]) for twins in compared.twins]
    alone = {path for twins in compared.twins for path in twins.paths}
    groups += [(Twins((path,), "one file"), held) for path, held in holders.items() if path not in alone]
    groups = [(twins, held) for twins, held in groups if len({slide for _, slide in held}) > 1]
    across = [(twins, held) for twins, held in groups if len({split for split, _ in held}) > 1]
    inside = [(twins, held) for twins, held in groups if len({split for split, _ in held}) < len(held)]
    total = sum(map(len, slides.values()))
    findings = []
    if across:
        items = tuple(map(_equation, across))
        touched = len({slide for _, held in across for split, slide in held if split is Split.TEST})
        text = f"{count(len(across), 'image')} in more than one split under different names: {list_some(items)}"
        text += f"; {touched} of {len(slides[Split.TEST])} test slides among them"
        findings.append(AuditFinding(CONTENTS, False, text, items))
    else:
        pixels = "the pixels of tiles were not (--full)"
        if compared.decoded is not None:
            pixels = f"and the pixels of {count(compared.decoded, 'tile')}"
        text = f"no image in more than one split: compared the bytes of {count(total, 'file')}, {pixels}"
        findings.append(AuditFinding(CONTENTS, True, text))
    if inside:
        items = tuple(map(_equation, inside))
        text = f"{count(len(inside), 'image')} more than once in one split: {list_some(items)}"
        findings.append(AuditFinding(DUPLICATES, None, text, items))
    return findings


def _classes(dataset: Dataset, slides: Splits, unread: Mapping[str, str]) -> list[AuditFinding]:
    """Splits whose units are all of one class; reading stops at the first slide that shows the other."""
    findings, both = [], []
    for split, part in slides.items():
        seen: set[int] = set()
        for slide in (slide for slide in part if slide.id not in unread and dataset.labelled(slide)):
            try:
                seen.update(map(int, set(dataset.unit_labels(slide).ravel().tolist())))
            except DataError as error:
                text = f"{split}: the labels of {slide.id} cannot be read: {error.what}"
                findings.append(AuditFinding(COMPLETENESS, False, text, (slide.id,)))
            if len(seen) > 1:
                both.append(str(split))
                break
        else:
            if part:
                only = {frozenset({0}): "every unit is negative", frozenset({1}): "every unit is positive"}
                findings.append(
                    AuditFinding(CLASSES, None, f"{split}: {only.get(frozenset(seen), 'there are no units')}")
                )
    if both:
        findings.append(AuditFinding(CLASSES, True, f"positive and negative units in {', '.join(both)}"))
    return findings


def _places(pairs: Iterable[tuple[str, Split]]) -> dict[str, tuple[Split, ...]]:
    """The splits in which each name occurs, in the order of the splits."""
    places: dict[str, dict[Split, None]] = defaultdict(dict)
    for name, split in pairs:
        places[name][split] = None
    return {name: tuple(splits) for name, splits in places.items()}


def _pairs(where: Mapping[str, tuple[Split, ...]]) -> str:
    """How many names are in which splits at once: `train + test: 15`."""
    counts: dict[str, int] = defaultdict(int)
    for splits in where.values():
        if len(splits) > 1:
            counts[" + ".join(splits)] += 1
    return ", ".join(f"{splits}: {number}" for splits, number in counts.items())


def _equation(group: tuple[Twins, list[tuple[Split, str]]]) -> str:
    twins, held = group
    return f"{' = '.join(f'{slide} ({split})' for split, slide in held)}, {twins.how}"
