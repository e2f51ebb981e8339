"""The pictures a slide is composed of: those of a real set, or a few that a source paints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from benchmark.dataset import TissueSource
from benchmark.errors import DataError
from benchmark.seeds import seed_of

Pixels = NDArray[np.uint8]
Objects = NDArray[np.int32]

PAINTED = (512, 384)
"""Width and height of a painted picture."""

MOST_PAINTED = 10
"""Painting is slow: a slide shows no more than so many painted pictures of each class, turned and mirrored."""

SMALL, POOLED = 2048, 4
"""Up to this side slides, made for tests, share so many painted pictures of each class, for painting is slow."""


@dataclass(frozen=True)
class Picture:
    """One picture of benign or of malignant tissue, loaded when it is needed."""

    name: str
    patient: str
    positive: bool
    size: tuple[int, int]
    """(width, height)."""
    load: Callable[[], tuple[Pixels, Objects]]
    """RGB pixels (height × width × 3) and gland numbers (height × width, 0 = background)."""


@runtime_checkable
class Album(Protocol):
    """Tissue that consists of pictures of known patients."""

    def pictures(self) -> Sequence[Picture]:
        """All pictures, in a fixed order."""
        ...


def pictures_of(tissue: TissueSource, *, side: int, seed: int, lesions: bool) -> list[Picture]:
    """The pictures for one slide; benign ones only without `lesions`.

    An `Album` gives those it has. Any other source paints pictures of `PAINTED` px: for a slide of up to `SMALL` px
    those of a pool (of the source's `pool`, such as a split) that all such slides share, else, by `seed`, as many as
    cover about a third of the slide, at most `MOST_PAINTED` per class. Nobody is their patient: each counts as one of
    this slide alone.

    Raises `DataError` when a class that is needed has no picture.
    """
    if isinstance(tissue, Album):
        pictures = [picture for picture in tissue.pictures() if lesions or not picture.positive]
    else:
        number = min(MOST_PAINTED, side**2 // (3 * PAINTED[0] * PAINTED[1])) if side > SMALL else POOLED
        classes = (False, True) if lesions else (False,)
        pictures = [
            _painted(tissue, positive, index, slide=seed, drawn=seed if side > SMALL else 0)
            for positive in classes
            for index in range(number)
        ]
    for positive, kind in ((False, "benign"), (True, "malignant")):
        if (lesions or not positive) and not any(picture.positive == positive for picture in pictures):
            raise DataError(f"{type(tissue).__name__} holds no {kind} picture, a slide cannot be composed of it")
    return pictures


def _painted(tissue: TissueSource, positive: bool, index: int, *, slide: int, drawn: int) -> Picture:
    own = seed_of("composed", drawn, int(positive), index)
    name = f"painted {getattr(tissue, 'pool', '')} {own:016x}"
    patient = f"painted {slide:x} {'malignant' if positive else 'benign'} {index}"

    def load() -> tuple[Pixels, Objects]:
        return tissue.paint(*PAINTED, positive=positive, seed=own)

    return Picture(name, patient, positive, PAINTED, load)
