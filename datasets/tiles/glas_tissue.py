"""The images of GlaS as tissue for composed slides."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.dataset import Split
from benchmark.errors import DataError
from benchmark.seeds import generator

from ..synthetic.composed.album import Objects, Picture, Pixels
from ..synthetic.composed.patients import patients_of
from .glas_files import Case, find_folder, read_cases

MPP = 0.62005
"""Microns per pixel of every image."""


class GlasTissue:
    """All 165 images of GlaS, or those of some patients; a `benchmark.dataset.TissueSource` and an `Album`.

    Opening it reads the table and the images' headers. Raises `DataError` when `root` is no GlaS folder.
    """

    def __init__(
        self, root: Path, patients: frozenset[str] | None = None, *, folds: int | None = None, fold: int = 0
    ) -> None:
        self.root, self.folds, self.fold = root, folds, fold
        cases, _ = read_cases(find_folder(root))
        self._pictures = [_picture(case) for case in cases if patients is None or case.patient in patients]

    @property
    def mpp(self) -> float:
        """Microns per pixel."""
        return MPP

    def pictures(self) -> Sequence[Picture]:
        """Every image, train before testA before testB, by number."""
        return self._pictures

    def folded(self, folds: int, fold: int) -> GlasTissue:
        """The same images, whose patients are dealt into folds: `part` gives those of one fold to the test split."""
        return GlasTissue(self.root, folds=folds, fold=fold)

    def part(self, split: Split, seed: int) -> GlasTissue:
        """The images of the patients that one split may use; no patient is in two splits. See `patients_of`."""
        return GlasTissue(self.root, patients_of(self._pictures, split, seed, folds=self.folds, fold=self.fold))

    def paint(
        self, width: int, height: int, *, positive: bool, seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """A crop of one image with its glands, numbered 1 to n; a mosaic of images of one patient where it is larger.

        The same arguments give the same bits. Raises `DataError` when there is no image of that class.
        """
        kind = "malignant" if positive else "benign"
        own = [picture for picture in self._pictures if picture.positive == positive]
        if not own:
            raise DataError(f"{self.root}: no {kind} image among those of this part")
        rng = generator("glas tissue", width, height, kind, seed)
        first = own[rng.integers(len(own))]
        same = [picture for picture in own if picture.patient == first.patient]
        pixels, objects = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.int32)
        top, picture = 0, first
        while top < height:
            left, tall = 0, height - top
            while left < width:
                crop, glands = _crop(rng, picture, width - left, tall)
                tall = min(tall, len(glands))
                place = slice(top, top + tall), slice(left, left + glands.shape[1])
                pixels[place] = crop[:tall]
                objects[place] = np.where(glands[:tall] > 0, glands[:tall] + objects.max(initial=0), 0)
                left += glands.shape[1]
                picture = same[rng.integers(len(same))]
            top += tall
        return pixels, _renumbered(objects)


def _picture(case: Case) -> Picture:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(case.image) as image:
            size = image.size
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{case.image} cannot be read: {error}", fix="restore it from the official archive") from error
    return Picture(case.name, case.patient, case.grade == "malignant", size, partial(_load, case))


def _load(case: Case) -> tuple[Pixels, Objects]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(case.image) as image, Image.open(case.mask) as mask:
            pixels, objects = np.asarray(image.convert("RGB")), np.asarray(mask)
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{case.name}: {error}", fix=f"restore {case.image.name} and {case.mask.name}") from error
    if objects.shape != pixels.shape[:2]:
        raise DataError(f"{case.mask} has shape {objects.shape}, its image {pixels.shape[:2]}")
    return pixels, objects.astype(np.int32)


def _crop(rng: np.random.Generator, picture: Picture, width: int, height: int) -> tuple[Pixels, Objects]:
    """At most width × height px from a random place of a picture."""
    pixels, objects = picture.load()
    tall, wide = objects.shape
    y, x = (int(rng.integers(max(0, have - want) + 1)) for have, want in ((tall, height), (wide, width)))
    place = slice(y, y + height), slice(x, x + width)
    return pixels[place], objects[place]


def _renumbered(objects: Objects) -> Objects:
    _, numbers = np.unique(objects, return_inverse=True)
    dense = numbers.reshape(objects.shape).astype(np.int32)
    return dense if (objects == 0).any() else dense + 1
