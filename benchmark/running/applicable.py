"""Whether a method can run on a dataset, before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.dataset import Split
from benchmark.supervision import TRANSDUCTIVE, Supervision
from benchmark.two_sets import Elsewhere

if TYPE_CHECKING:
    from benchmark.dataset import Dataset
    from benchmark.method import Method
    from benchmark.slides import Slide


def not_applicable(method: Method | type[Method], dataset: Dataset) -> str | None:
    """Why not: the method's own reason, or that the labels it learns from are not there. None when it can.

    Answers on record (`Method.expert`) need no labels of the dataset.
    """
    kind = method if isinstance(method, type) else type(method)
    if isinstance(dataset, Elsewhere) and kind.supervision & TRANSDUCTIVE:
        return "labels of the slides that it scores are asked for, so nothing is carried over to another dataset"
    if (reason := kind.not_applicable(dataset)) is not None:
        return reason
    if not isinstance(method, type) and method.expert().answers is not None:
        return None
    return _untaught(kind, dataset) or _one_class(kind, dataset) or _undrawn(kind, dataset)


def _untaught(kind: type[Method], dataset: Dataset) -> str | None:
    if kind.supervision <= TRANSDUCTIVE or dataset.slides(Split.TRAIN):
        return None
    return f"it learns from train slides, and {dataset.name} has none under these options"


def _one_class(kind: type[Method], dataset: Dataset) -> str | None:
    """Image labels teach nothing where all of them are equal."""
    if Supervision.IMAGE not in kind.supervision:
        return None
    slides, seen = dataset.slides(Split.TRAIN), set[int]()
    for slide in slides:
        seen.update(dataset.unit_labels(slide).ravel().tolist())
        if len(seen) > 1:
            return None
    own = min(seen)
    what = f"all {len(slides)} train slides that can be used are {dataset.classes[own]}, none is"
    lost = dataset.missing(Split.TRAIN)
    first = next(iter(lost), "")
    more = f"; {len(lost)} cannot be used, the first is {first}: {lost[first]}" if lost else ""
    return f"it learns from image labels of both classes, and {what} {dataset.classes[1 - own]}{more}"


def _undrawn(kind: type[Method], dataset: Dataset) -> str | None:
    drawn = kind.supervision - {Supervision.IMAGE}
    if not drawn:
        return None
    split = Split.TEST if drawn <= TRANSDUCTIVE else Split.TRAIN
    slides = dataset.slides(split)
    there = dataset.roughly_annotated if drawn == {Supervision.COARSE} else dataset.annotated
    known = [slide for slide in slides if there(slide)]
    if len(known) == len(slides) or any(_may_be_positive(dataset, slide) for slide in known):
        return None
    kinds = ", ".join(sorted(drawn))
    return f"it learns from {kinds} labels, and no positive {split} slide is annotated"


def _may_be_positive(dataset: Dataset, slide: Slide) -> bool:
    return not dataset.labelled(slide) or bool(dataset.unit_labels(slide).any())
