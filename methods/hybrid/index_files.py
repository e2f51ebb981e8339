"""The sampler of the release: a pool, then one of the pool's index files, then one of that file's patches.

An index file lists the patches of a group of slides (in the release one of CAMELYON16's or of CAMELYON17's lists), so a
patch of a small group is drawn more often than one of a large group. Positive and negative fine patches are in files
of their own. Source: `McDataset_seg` of the released code; docs/methods/hybrid.md.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError

RELEASED = (52, 9, 40)
"""Draws of 101 in the release: whole numbers 0 to 100, below 40 negative, 41 to 49 pseudo, the rest fine."""
COLUMNS = ("slide", "group")


def released_shares(sizes: Sequence[int]) -> list[int]:
    """Draws of 101 that are of each pool (fine, pseudo, negative; `sizes`: their patches).

    The share of an empty pool goes to the fine one.
    """
    _, pseudo, negative = (weight if size else 0 for weight, size in zip(RELEASED, sizes, strict=True))
    return [sum(RELEASED) - pseudo - negative, pseudo, negative]


def drawn_pools(batch: int, sizes: Sequence[int], rng: np.random.Generator) -> list[int]:
    """How many of each pool one batch gets, patch by patch, see `released_shares`."""
    return [int(count) for count in rng.multinomial(batch, np.array(released_shares(sizes)) / sum(RELEASED))]


def by_group(groups: NDArray[np.int64], rng: np.random.Generator) -> int:
    """An entry of a pool: a group first, all equally likely, then one of its patches. `groups`: that of each entry."""
    chosen = rng.choice(np.unique(groups))
    return int(rng.choice(np.flatnonzero(groups == chosen)))


def read_groups(path: Path | None, slides: Sequence[str]) -> NDArray[np.int64]:
    """The number of each slide's group, from a CSV file with the columns slide and group; without one, all are 0.

    Raises `DataError` when the file cannot be read, lacks a column, names a slide twice or not at all.
    """
    if path is None:
        return np.zeros(len(slides), np.int64)
    fix = f"edit {path}: the columns slide and group, one row for every training slide"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            columns = table.fieldnames or ()
            rows = [(number, row) for number, row in enumerate(table, start=2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}", fix=fix) from error
    if lacking := [name for name in COLUMNS if name not in columns]:
        msg = f"{path} has no column {', '.join(lacking)}; its columns are: {', '.join(columns)}"
        raise DataError(msg, fix=fix)
    groups: dict[str, str] = {}
    for number, row in rows:
        slide, group = ((row[name] or "").strip() for name in COLUMNS)
        if not slide or not group or groups.setdefault(slide, group) != group:
            problem = f"slide {slide!r} is in {groups.get(slide)!r} and in {group!r}"
            raise DataError(f"{path}, line {number}: {problem}", fix=fix)
    if absent := [slide for slide in slides if slide not in groups]:
        raise DataError(f"{path} has no row for {len(absent)} training slides, the first: {absent[0]}", fix=fix)
    _, numbers = np.unique([groups[slide] for slide in slides], return_inverse=True)
    return numbers.astype(np.int64)
