"""Painted tiles of the tissues of colorectal cancer, for miniatures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.dataset import TissueSource
from benchmark.seeds import generator, seed_of

from ..synthetic.painter import Painter

SHEET = 256
"""Side of a painted picture that tiles of glands are cut from, px."""

CUT = 4
"""Tiles that are cut from one picture: those with the largest share of gland."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "ADI": (238, 230, 240),
    "BACK": (244, 243, 245),
    "DEB": (188, 150, 176),
    "LYM": (140, 110, 170),
    "MUC": (214, 214, 228),
    "MUS": (214, 120, 168),
    "STR": (226, 170, 200),
}
"""Mean colour of the tissues without glands."""
NUCLEI: dict[str, float] = {"DEB": 0.08, "LYM": 0.45, "MUS": 0.03, "STR": 0.05}
"""Share of the tile that nuclei cover."""

Pixels = NDArray[np.uint8]


def paint_tile(kind: str, side: int, tissue: TissueSource | None, seed: int, number: int) -> Pixels:
    """Tile `number` of one tissue, side × side × 3; NORM and TUM are cut from benign and malignant glands.

    The same arguments give the same bits.
    """
    if kind in COLOURS:
        return _plain(kind, side, generator("painted tile", kind, seed, number))
    painter = tissue or Painter()
    sheet = seed_of("painted tile", kind, seed, number // CUT)
    pixels, glands = painter.paint(SHEET, SHEET, positive=kind == "TUM", seed=sheet)
    places = [(top, left) for top in range(0, SHEET - side + 1, side) for left in range(0, SHEET - side + 1, side)]
    shares = [float(np.mean(glands[top : top + side, left : left + side] > 0)) for top, left in places]
    top, left = places[int(np.argsort(shares, kind="stable")[-1 - number % CUT])]
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def _plain(kind: str, side: int, rng: np.random.Generator) -> Pixels:
    """A colour with the grain of its tissue: fibres, vacuoles or nuclei."""
    from scipy.ndimage import gaussian_filter

    def grain(width: tuple[float, float]) -> NDArray[np.float64]:
        noise: NDArray[np.float64] = gaussian_filter(rng.standard_normal((side, side)), width)
        return noise / max(1e-9, float(noise.std()))

    picture = np.array(COLOURS[kind], np.float64) + rng.normal(0, 4, 3) + rng.normal(0, 2, (side, side, 3))
    fibres = {"MUS": (1.0, 8.0), "STR": (2.0, 4.0), "MUC": (4.0, 4.0), "ADI": (5.0, 5.0)}.get(kind)
    if fibres:
        grains = grain(fibres)
        picture -= (np.abs(grains) < 0.15)[..., None] * 50.0 if kind == "ADI" else grains[..., None] * 8
    if share := NUCLEI.get(kind):
        spots = grain((1.5, 1.5))
        picture[spots > np.quantile(spots, 1 - share)] = (84, 60, 130)
    return picture.clip(0, 255).astype(np.uint8)
