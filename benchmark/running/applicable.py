"""Whether a method can run on a dataset, before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.dataset import Split
from benchmark.supervision import TRANSDUCTIVE, Supervision

if TYPE_CHECKING:
    from benchmark.dataset import Dataset
    from benchmark.method import Method


def not_applicable(method: Method | type[Method], dataset: Dataset) -> str | None:
    """Why not: the method's own reason, or that nobody drew the labels it learns from. None when it can.

    Answers on record (`Method.expert`) need no drawn labels.
    """
    kind = method if isinstance(method, type) else type(method)
    recorded = not isinstance(method, type) and method.expert().answers is not None
    return kind.not_applicable(dataset) or (None if recorded else _undrawn(kind, dataset))


def _undrawn(kind: type[Method], dataset: Dataset) -> str | None:
    drawn = kind.supervision - {Supervision.IMAGE}
    if not drawn:
        return None
    split = Split.TEST if drawn <= TRANSDUCTIVE else Split.TRAIN
    slides = dataset.slides(split)
    known = [slide for slide in slides if dataset.annotated(slide)]
    if len(known) == len(slides) or any(dataset.unit_labels(slide).any() for slide in known):
        return None
    kinds = ", ".join(sorted(drawn))
    return f"it learns from {kinds} labels, and no positive {split} slide is annotated"
