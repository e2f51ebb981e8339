"""Which slides a result covers, of those expected. Figures over different slides are never ranked together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.dataset import Split
from benchmark.identity import digest_of

if TYPE_CHECKING:
    from benchmark.dataset import Dataset
    from benchmark.running.evaluate import Evaluation


@dataclass(frozen=True)
class Completeness:
    """`used`: ids of the slides in the figures. `missing`: id → why it is not among them."""

    used: tuple[str, ...]
    missing: Mapping[str, str]

    @property
    def expected(self) -> int:
        """Number of slides that should be there."""
        return len(self.used) + len(self.missing)

    @property
    def share(self) -> float:
        """Used slides over expected ones."""
        return len(self.used) / self.expected if self.expected else 0.0

    @property
    def text(self) -> str:
        """One line for a reader."""
        if not self.missing:
            return f"all {self.expected} slides"
        return f"{len(self.used)} of {self.expected} slides; left out: {_reasons(self.missing)}"

    def numbers(self) -> dict[str, float]:
        """The figures of the tracking store."""
        return {
            "data/slides_expected": float(self.expected),
            "data/slides_used": float(len(self.used)),
            "data/completeness": self.share,
        }

    def tags(self) -> dict[str, str]:
        """`bench.slides` is equal for two results just when they stand on the same slides."""
        return {"bench.slides": digest_of(sorted(self.used))[:16], "bench.complete": str(not self.missing).lower()}

    def facts(self) -> dict[str, Any]:
        """Everything, for `completeness.json`."""
        return {"expected": self.expected, "used": list(self.used), "missing": dict(self.missing)}


def _reasons(slides: Mapping[str, str]) -> str:
    """The first five slides with why, and how many more there are."""
    first = "; ".join(f"{slide}: {why}" for slide, why in list(slides.items())[:5])
    return first + (f" and {len(slides) - 5} more" if len(slides) > 5 else "")


def completeness(dataset: Dataset, split: Split, done: Evaluation) -> Completeness:
    """What was expected of a split, and what came of it."""
    missing = {**dataset.missing(split), **done.unreadable}
    return Completeness(tuple(slide.slide for slide in done.evidence), missing)


def left_aside(dataset: Dataset, done: Evaluation) -> dict[str, str]:
    """Facts on the slides that options leave out, not there to learn from, counted in no figure, without truth."""
    silent = {
        slide.slide: "no annotation" if slide.unit_labels.size else "neither label nor annotation"
        for slide in done.evidence
        if slide.cells is None
    }
    kinds = {
        "left out by options": dataset.excluded,
        "cells not counted": done.uncounted,
        "without truth, so outputs and no figures of cells": silent,
    }
    facts = {kind: f"{len(slides)} slides: {_reasons(slides)}" for kind, slides in kinds.items() if slides}
    absent = _incomplete(dataset, (Split.TRAIN, Split.VALIDATION))
    return facts | {f"{split} slides": found.text for split, found in absent.items()}


def incomplete(dataset: Dataset, *splits: Split) -> list[str]:
    """A line for each of these splits with unusable slides: how many are left, which are missing, and why."""
    return [f"{split}: {found.text}" for split, found in _incomplete(dataset, splits).items()]


def _incomplete(dataset: Dataset, splits: Sequence[Split]) -> dict[Split, Completeness]:
    opened = {
        split: Completeness(tuple(slide.id for slide in dataset.slides(split)), dataset.missing(split))
        for split in splits
    }
    return {split: found for split, found in opened.items() if found.missing}
