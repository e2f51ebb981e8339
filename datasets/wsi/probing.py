"""Every slide tried once: what its file says of itself, or why it cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import DataError
from benchmark.slides import Slide

from .cases import Case

if TYPE_CHECKING:
    from benchmark.slides.facts import SlideFacts

ONE_SCALE = 1.5
"""Slides of one scanner setting differ by less than this factor: 0.226 to 0.253 µm/px at 40×, 0.5 at 20×."""
OPENERS = 8
"""Slides tried at a time: mostly waiting for the disk."""


@dataclass(frozen=True)
class Probed:
    """`facts`: id → what the file says, of slides that can be used. `missing`: id → why, of all others."""

    facts: dict[str, SlideFacts]
    missing: dict[str, str]


def probe_slides(cases: Sequence[Case], lack: Callable[[Case], str | None]) -> Probed:
    """Open every slide. `lack`: what else a slide needs and has not, in words; None when it needs nothing."""
    with ThreadPoolExecutor(OPENERS) as pool:
        results = list(pool.map(lambda case: _probe(case, lack), cases))
    facts: dict[str, SlideFacts] = {}
    missing: dict[str, str] = {}
    for case, result in zip(cases, results, strict=True):
        if isinstance(result, str):
            missing[case.id] = result
        else:
            facts[case.id] = result
    return Probed(facts, missing)


def check_scales(slides: Sequence[Slide], name: str) -> None:
    """Raise `DataError` where the slides' microns per pixel differ by more than a factor of `ONE_SCALE`."""
    ordered = sorted(slides, key=lambda slide: slide.mpp or 0.0)
    finest, coarsest = (ordered[0].mpp or 0.0), (ordered[-1].mpp or 0.0)
    if finest <= 0 or coarsest / finest <= ONE_SCALE:
        return
    fine = sum((slide.mpp or 0.0) <= finest * ONE_SCALE for slide in ordered)
    what = (
        f"{name} mixes scales: {fine} slides at about {finest:.3g} µm/px (first: {ordered[0].id}), "
        f"{len(ordered) - fine} at up to {coarsest:.3g} (last: {ordered[-1].id}); a patch of one size in pixels shows "
        "more tissue on some than on others"
    )
    raise DataError(
        what, fix="--set scales=mixed   # admits them; a wrong resolution is corrected in the column mpp of a manifest"
    )


def _unreadable(annotation: Path) -> str | None:
    try:
        return None if annotation.stat().st_size else f"{annotation.name} is empty"
    except OSError as error:
        return f"{annotation.name} cannot be read: {error.strerror}"


def _probe(case: Case, lack: Callable[[Case], str | None]) -> SlideFacts | str:
    from benchmark.slides.facts import probe, slide_facts

    fault = case.fault or lack(case)
    if fault is not None:
        return fault
    if case.image is None:
        return "the slide file does not exist"
    if case.annotation is not None and (why := _unreadable(case.annotation)) is not None:
        return why
    fault = probe(Slide(case.id, case.image, case.patient))
    if fault is not None:
        return fault
    facts = slide_facts(case.image, case.id)
    return facts if case.mpp is None else replace(facts, mpp=case.mpp)
