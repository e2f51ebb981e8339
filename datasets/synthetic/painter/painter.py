"""The tissue painter: colon mucosa in haematoxylin and eosin at 20×, with the number of every gland."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.dataset import Split
from benchmark.seeds import generator, seed_of

from .fields import cloud
from .gland_layout import Arrangement, Labels, arrange, sizeable
from .glands import Epithelium, paint_glands
from .nuclei import Nuclei, stamp
from .stain import Canvas, Stain
from .stroma import Stroma, paint_stroma

VERSION = 1
"""Raised whenever the same seed paints other pixels."""

MARGIN = 40
"""Painted around the picture and cut off, so that glands run over its edge."""

SMALLEST = 120
"""An object of fewer pixels is no gland any more but a sliver at the edge of the picture."""

REMEMBERED = 24
"""Pictures without a given stain that are kept, so that slides which share them need not wait."""

MPP = 0.62005
"""Microns per pixel of what is painted: that of GlaS, whose glands are the model."""


class Painter:
    """Paints benign or malignant glands with stroma; a `benchmark.dataset.TissueSource`.

    The truth is as hard as an expert's: outlines wander off the membrane by a pixel or two, some glands have no
    lumen, and vessels, fat, clefts and lymphoid heaps outside the glands look like parts of them.
    Give the same `stain` to all pictures of one patient; without one each picture has its own. Painters of another
    `pool` paint other pictures for the same seed.
    """

    def __init__(self, stain: Stain | None = None, pool: str = "") -> None:
        self.stain = stain
        self.pool = pool

    @property
    def mpp(self) -> float:
        """Microns per pixel."""
        return MPP

    def part(self, split: Split, seed: int) -> Painter:
        """The painter whose pool is the split, so that no two splits share a picture; `seed` changes nothing."""
        return Painter(self.stain, split.value)

    def paint(
        self, width: int, height: int, *, positive: bool, seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """An RGB picture, height × width × 3, and its gland numbers, height × width (0 = background).

        The same arguments give the same bits. `positive` asks for malignant glands.
        """
        if self.pool:
            seed = seed_of("painter", self.pool, seed)
        if self.stain is None:
            pixels, glands = _remembered(width, height, positive, seed)
            return pixels.copy(), glands.copy()
        return _picture(width, height, positive, seed, self.stain)


@lru_cache(maxsize=REMEMBERED)
def _remembered(width: int, height: int, positive: bool, seed: int) -> tuple[NDArray[np.uint8], Labels]:
    return _picture(width, height, positive, seed, Stain.draw(_rng(seed, "stain")))


def _picture(width: int, height: int, positive: bool, seed: int, stain: Stain) -> tuple[NDArray[np.uint8], Labels]:
    canvas = Canvas.blank((height + 2 * MARGIN, width + 2 * MARGIN))
    inner = (slice(MARGIN, MARGIN + height), slice(MARGIN, MARGIN + width))
    glands, truth = _glands(seed, canvas.shape, inner, positive)
    nuclei = paint_stroma(_rng(seed, "stroma"), canvas, glands > 0, Stroma.draw(_rng(seed, "stroma kind")))
    kind = Epithelium.draw(_rng(seed, "epithelium kind"), positive)
    nuclei += paint_glands(_rng(seed, "epithelium"), canvas, glands, kind)
    cover, density = stamp(_rng(seed, "nuclei"), Nuclei.join(nuclei), canvas.shape)
    canvas.lay(cover, density / np.maximum(cover, 0.05), 0.4)
    view = Canvas(canvas.haematoxylin[inner], canvas.eosin[inner], canvas.blood[inner])
    return stain.develop(_rng(seed, "camera"), view), truth


def _rng(seed: int, part: str) -> np.random.Generator:
    return generator("painter", VERSION, seed, part)


def _glands(seed: int, shape: tuple[int, int], inner: tuple[slice, slice], positive: bool) -> tuple[Labels, Labels]:
    """Gland numbers on the whole canvas, and the truth within the picture: one in which both classes are seen."""
    for attempt in range(50):
        rng = _rng(seed, f"layout {attempt}")
        glands = arrange(rng, shape, Arrangement.draw(rng, positive))
        truth = _outlined(rng, glands, inner)
        if 0.2 < np.mean(truth > 0) < 0.8:
            return glands, truth
    msg = f"no arrangement of glands fits a canvas of {shape[1]} × {shape[0]} px"
    raise ValueError(msg)


def _outlined(rng: np.random.Generator, glands: Labels, inner: tuple[slice, slice]) -> Labels:
    """The glands as an expert outlines them: smooth lines a pixel or two off, without slivers."""
    height, width = glands.shape
    wandering = [place + 1.2 * cloud(rng, (height, width), 10) for place in np.indices(glands.shape, dtype=np.float32)]
    drawn = ndimage.map_coordinates(glands, wandering, order=0, mode="nearest")
    return sizeable(drawn[inner], SMALLEST)
