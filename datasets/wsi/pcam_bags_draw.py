"""Which tiles a composed slide of `pcam-bags` shows, and where: drawn from the seed, the same every time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.dataset import Split
from benchmark.errors import DataError
from benchmark.seeds import generator
from benchmark.slides import Piece

from .pasted_dataset import Layout

STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""From a cell to its neighbours."""

Pools = Mapping[tuple[Split, bool], tuple[str, ...]]
"""(split, positive) → names of tiles."""


@dataclass(frozen=True)
class Bag:
    """A slide to be composed. `lesion`: share of its tiles that are positive, 0 for a negative slide."""

    name: str
    split: Split
    lesion: float


def planned_bags(shares: str, sizes: Mapping[str, int]) -> list[Bag]:
    """Every other slide is positive; the positive ones take the shares in turn."""
    lesions = [float(share) for share in shares.split(",")]
    bags = []
    for split in Split:
        for index in range(sizes[split]):
            lesion = 0.0 if index % 2 else lesions[index // 2 % len(lesions)]
            bags.append(Bag(f"{split}_{index + 1:03d}", split, lesion))
    return bags


def deal_tiles(labels: Mapping[str, bool], sizes: Mapping[str, int], seed: int) -> Pools:
    """Tiles of either class, dealt to the splits in proportion to their slides. `labels`: tile → positive.

    Raises `DataError` for a split that has slides and would get no tile of a class.
    """
    pools: dict[tuple[Split, bool], tuple[str, ...]] = {}
    total = sum(sizes[split] for split in Split)
    for positive in (False, True):
        names = sorted(name for name, own in labels.items() if own == positive)
        order = generator("pcam-bags", "tiles", int(positive), seed).permutation(len(names)).tolist()
        start, dealt = 0, 0
        for split in Split:
            dealt += sizes[split]
            stop = round(len(names) * dealt / total)
            pools[split, positive] = tuple(names[index] for index in order[start:stop])
            start = stop
            if sizes[split] and not pools[split, positive]:
                kind = "positive" if positive else "negative"
                msg = f"{len(names)} {kind} tiles are too few: none is left for the {split} slides"
                raise DataError(msg, fix=f"add {kind} tiles, or --set {split}_slides=…")
    return pools


def bag_layout(bag: Bag, pools: Pools, tiles: int, side: int, seed: int) -> Layout:
    """A square of about `tiles` tiles of `side` px; a lesion is one blob of adjacent positive tiles, at least one.

    Tiles are taken at random without repeating one until all of the split's are shown, then again in another of the
    eight orientations.
    """
    across = max(1, round(math.sqrt(tiles)))
    rng = generator("pcam-bags", "slide", bag.name, f"{bag.lesion:g}", tiles, seed)
    classes = np.zeros((across, across), np.uint8)
    if bag.lesion:
        classes[_blob(rng, across, max(1, round(bag.lesion * across**2)))] = 1
    pieces: list[Piece] = []
    for positive in (False, True):
        rows, cols = np.nonzero(classes == positive)
        pool = pools[bag.split, positive]
        order = rng.permutation(len(pool))
        orientation = rng.integers(8, size=len(pool))
        for number, (row, col) in enumerate(zip(rows.tolist(), cols.tolist(), strict=True)):
            tile = int(order[number % len(pool)])
            turned = int(orientation[tile] + number // len(pool)) % 8
            pieces.append(Piece(pool[tile], col * side, row * side, turned % 4, turned > 3))
    there = np.ones(classes.shape, np.bool_)
    return Layout(tuple(pieces), (across * side, across * side), classes, there, str(bag.split))


def _blob(rng: np.random.Generator, across: int, number: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of so many cells, grown from one by neighbours; one that touches more of them is likelier."""
    grown = {(int(rng.integers(across)), int(rng.integers(across)))}
    while len(grown) < min(number, across**2):
        beside = [(row + down, col + right) for row, col in sorted(grown) for down, right in STEPS]
        touched = Counter(cell for cell in beside if cell not in grown and max(cell) < across and min(cell) >= 0)
        rim, weights = list(touched), np.array(list(touched.values()))
        grown.add(rim[int(rng.choice(len(rim), p=weights / weights.sum()))])
    rows, cols = np.array(sorted(grown)).T
    return rows, cols
