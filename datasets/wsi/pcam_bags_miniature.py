"""A miniature of `pcam-bags`: painted tiles with labels.csv."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.dataset import SYNTHETIC_MARK, Split, TissueSource, tell_progress, write_synthetic_mark
from benchmark.errors import DataError
from benchmark.seeds import seed_of

from ..fresh_folder import fresh_folder
from ..tables import write_table
from .wsi_miniature import shares

CUT = 96
"""Side of a tile, px."""

CENTRE = slice(32, 64)
"""The part of a tile that decides on its class, in either direction."""

PICTURE = (5, 4)
"""Tiles across and down a painted picture."""

PICTURES = {False: 5, True: 3}
"""Pictures of negative and of positive tissue."""

TILES = 64
"""Tiles of a slide."""

_WRITTEN = re.compile(r"[0-9a-f]{40}\.png|labels\.csv")


def write_pcam_bags(root: Path, *, slides: int, seed: int, tissue: TissueSource | None, side: int | None) -> None:
    """Write tiles and their table, all or nothing. Raises `DataError` where a `side` is asked for."""
    from PIL import Image

    from ..synthetic.painter import Painter

    if side is not None:
        raise DataError(f"--side {side}: the slides of pcam-bags are as large as their tiles", fix="leave --side out")
    sizes = {str(split): number for split, number in shares(slides).items()}
    sizes["train"] = max(2, sizes["train"])
    source = tissue or Painter()
    with fresh_folder(root, lambda name: _WRITTEN.fullmatch(name) is not None) as folder:
        rows = []
        for done, (pixels, positive) in enumerate(_tiles(source, seed), start=1):
            name = hashlib.sha1(pixels.tobytes() + bytes([positive]), usedforsecurity=False).hexdigest()
            Image.fromarray(pixels).save(folder / f"{name}.png", compress_level=1)
            rows.append((name, int(positive)))
            tell_progress(done * slides // _number(), slides)
        write_table(folder / "labels.csv", ("id", "label"), sorted(set(rows)))
        made_of = "painter" if tissue is None else type(tissue).__name__
        sizes["tiles"] = TILES
        write_synthetic_mark(folder, "pcam-bags", seed=seed, tissue=made_of, patients={}, sizes=sizes, slides=slides)


def made_for(root: Path) -> Mapping[str, int]:
    """Of a miniature, the numbers of slides and of tiles that it was made for; empty for a real set."""
    mark = root / SYNTHETIC_MARK
    if not mark.is_file():
        return {}
    sizes = json.loads(mark.read_text(encoding="utf-8")).get("sizes")
    if not isinstance(sizes, dict) or not all(isinstance(sizes.get(name), int) for name in (*Split, "tiles")):
        fix = "bench data synth pcam-bags --out DIR"
        raise DataError(f"{mark} is not the mark of a miniature of pcam-bags", fix=fix)
    return sizes


def _number() -> int:
    return PICTURE[0] * PICTURE[1] * sum(PICTURES.values())


def _tiles(source: TissueSource, seed: int) -> Iterator[tuple[NDArray[np.uint8], bool]]:
    """Tiles of benign pictures are negative, those of malignant ones positive where a gland lies in their centre."""
    width, height = (number * CUT for number in PICTURE)
    for malignant, number in PICTURES.items():
        for index in range(number):
            own = seed_of("pcam-bags", seed, int(malignant), index)
            pixels, glands = source.paint(width, height, positive=malignant, seed=own)
            for row, col in np.ndindex(PICTURE[1], PICTURE[0]):
                place = slice(row * CUT, (row + 1) * CUT), slice(col * CUT, (col + 1) * CUT)
                if not malignant or (glands[place][CENTRE, CENTRE] > 0).any():
                    yield np.ascontiguousarray(pixels[place]), malignant
