"""The patches of a slide in batches, in a fixed order, read by several processes, with memory bounded by the batch."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError, DataError
from benchmark.slides.grid import Grid
from benchmark.slides.slide import Slide
from benchmark.slides.slots import attached, shared_slots, slot_view

FEW = 1500
"""Below so many patches, starting reader processes takes longer than they save."""
MOST_READERS = 4
"""Reader processes that are started by themselves; more only when asked for."""
AHEAD = 2
"""Batches that each reader may be ahead of the one that is used."""
WIDEST = 4096
"""Longest piece of a row of patches that is read at once, in px; a wider one no longer fits the processor's cache."""

Ints = NDArray[np.int64]
Pixels = NDArray[np.uint8]
Cells = tuple[Ints, Ints]
"""Rows and columns of some cells."""


@dataclass(frozen=True, eq=False)
class PatchBatch:
    """`rows`, `cols`: the cells (n). `pixels`: n × side × side × 3, RGB."""

    rows: Ints
    cols: Ints
    pixels: Pixels


def stream_patches(
    slide: Slide,
    grid: Grid,
    where: NDArray[np.bool_] | None = None,
    *,
    side: int | None = None,
    batch: int = 64,
    readers: int | None = None,
) -> Iterator[PatchBatch]:
    """Every patch of `grid` where `where` (rows × cols, default everywhere) is true, row by row.

    Patches are read at level 0 and brought to side × side px (antialiased bilinear, as LC-MIL's 256 → 224);
    None leaves them as large as the grid has them. Beyond the slide they are black. `readers`: processes that
    read ahead; 0 reads in this one; None decides by the number of patches and cores. Any number gives the same
    bits in the same order.

    Raises `DataError` naming slide and file when pixels cannot be read or a reader dies, `ConfigError` when
    `where` does not fit the grid, or a number is out of its range.
    """
    for name, value, least in (("side", side, 1), ("batch", batch, 1), ("readers", readers, 0)):
        if value is not None and value < least:
            raise ConfigError(f"slide {slide.id!r}: {name} must be at least {least}, got {value}")
    wanted = np.ones(grid.shape, np.bool_) if where is None else where
    if wanted.shape != grid.shape:
        raise ConfigError(f"slide {slide.id!r}: `where` has shape {wanted.shape}, the grid {grid.shape}")
    rows, cols = (index.astype(np.int64) for index in np.nonzero(wanted))
    parts = [(rows[start : start + batch], cols[start : start + batch]) for start in range(0, rows.size, batch)]
    number = _automatic(rows.size) if readers is None else readers
    if number == 0 or len(parts) < 2:
        for part in parts:
            yield PatchBatch(*part, _read(slide, grid, part, np.empty(_shape(grid, part, side), np.uint8)))
        return
    yield from _with_readers(slide, grid, parts, side, min(number, len(parts)))


def _automatic(patches: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if patches < FEW or cores < 2 else min(cores, MOST_READERS)


def _with_readers(slide: Slide, grid: Grid, parts: list[Cells], side: int | None, readers: int) -> Iterator[PatchBatch]:
    """Hands out the parts in order; each keeps a slot of shared memory until its pixels are copied."""
    waiting: deque[tuple[Cells, Future[Pixels]]] = deque()
    slots, full, taken = readers * AHEAD + 1, _shape(grid, parts[0], side), 0
    pool = ProcessPoolExecutor(readers, mp_context=get_context("spawn"))
    with shared_slots(slots, full) as memory:
        try:
            for number, part in enumerate(parts):
                place = None if memory is None else (memory.name, number % slots, full)
                waiting.append((part, pool.submit(_read_apart, slide, grid, part, side, place)))
                while len(waiting) == slots or (waiting and number == len(parts) - 1):
                    cells, future = waiting.popleft()
                    pixels = future.result()
                    if memory is not None:
                        pixels = slot_view(memory, taken % slots, full)[: cells[0].size].copy()
                    taken += 1
                    yield PatchBatch(*cells, pixels)
        except BrokenProcessPool as error:
            what = f"slide {slide.id!r}: a process that read {slide.path} died (out of memory, or killed)"
            raise DataError(what, fix="run it again; with less memory: fewer readers") from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read_apart(
    slide: Slide, grid: Grid, cells: Cells, side: int | None, place: tuple[str, int, tuple[int, ...]] | None
) -> Pixels:
    """What a reader process does. With a place (name, slot, shape) the pixels go there, and none through the pipe."""
    if place is None:
        return _read(slide, grid, cells, np.empty(_shape(grid, cells, side), np.uint8))
    name, slot, shape = place
    return _read(slide, grid, cells, slot_view(attached(name), slot, shape)[: cells[0].size])[:0].copy()


def _shape(grid: Grid, cells: Cells, side: int | None) -> tuple[int, ...]:
    return (cells[0].size, *((grid.height, grid.width) if side is None else (side, side)), 3)


def _read(slide: Slide, grid: Grid, cells: Cells, found: Pixels) -> Pixels:
    """The patches of some cells: neighbours in a row are cut from one piece, so their pixels are decoded once."""
    rows, cols = cells
    for start, stop in _runs(grid, rows, cols):
        left, top = int(grid.x[cols[start]]), int(grid.y[rows[start]])
        width = int(grid.x[cols[stop - 1]]) + grid.width - left
        piece = slide.read(left, top, width, grid.height)
        for index in range(start, stop):
            offset = int(grid.x[cols[index]]) - left
            found[index] = _resized(piece[:, offset : offset + grid.width], (found.shape[2], found.shape[1]))
    return found


def _runs(grid: Grid, rows: Ints, cols: Ints) -> list[tuple[int, int]]:
    """Stretches of cells (start, stop) in one row whose patches touch, none wider than `WIDEST`."""
    runs, start = [], 0
    for index in range(1, rows.size + 1):
        if index < rows.size and rows[index] == rows[start]:
            touching = grid.x[cols[index]] - grid.x[cols[index - 1]] <= grid.width
            if touching and grid.x[cols[index]] + grid.width - grid.x[cols[start]] <= WIDEST:
                continue
        runs.append((start, index))
        start = index
    return runs


def _resized(patch: Pixels, size: tuple[int, int]) -> Pixels:
    if patch.shape[1::-1] == size:
        return patch
    from PIL import Image

    return np.asarray(Image.fromarray(patch).resize(size, Image.Resampling.BILINEAR))
