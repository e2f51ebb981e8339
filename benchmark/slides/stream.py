"""The patches of a slide in batches, in a fixed order, read by several processes, with bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError, DataError
from benchmark.slides.grid import Grid
from benchmark.slides.slide import Slide
from benchmark.slides.slots import attached, shared_slots, slot_view
from benchmark.slides.strips import Interpolation, Ints, PatchReader, Pixels, columns_per_strip

FEW = 1500
"""Below so many patches, starting reader processes takes longer than they save."""
MOST_READERS = 4
"""Reader processes that are started by themselves; more only when asked for."""
AHEAD = 2
"""Batches that each reader may be ahead of the one that is used."""

Cells = tuple[Ints, Ints]
"""Rows and columns of some cells, row by row."""
Share = tuple[Ints, Future[Pixels]]
"""What one reader reads of a batch: the places in it, and the pixels where they come through the pipe."""


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
    interpolation: Interpolation = "bilinear",
) -> Iterator[PatchBatch]:
    """Every patch of `grid` where `where` (rows × cols, default everywhere) is true, row by row.

    Patches are read at level 0 and brought to side × side px (antialiased; bilinear is LC-MIL's 256 → 224);
    None leaves them as large as the grid has them. Beyond the slide they are black. `readers`: processes that
    read ahead; 0 reads in this one; None decides by the number of patches and cores. Any number gives the same
    bits in the same order. Each reader has columns of its own and goes down them, so that what patches share is
    read once; it holds a few batches and its part of one row of patches.

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
    if len(parts) < 2:
        number = 0
    block = columns_per_strip(grid, int(np.ptp(cols)) + 1 if cols.size else 1, batch, number)
    reader = PatchReader(slide, grid, (grid.width, grid.height) if side is None else (side, side), block, interpolation)
    if number:
        yield from _with_readers(reader, parts, number)
        return
    for part in parts:
        yield PatchBatch(*part, np.stack(list(reader.read(*part))))


def _automatic(patches: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if patches < FEW or cores < 2 else min(cores, MOST_READERS)


def _with_readers(reader: PatchReader, parts: list[Cells], readers: int) -> Iterator[PatchBatch]:
    """Hands out the batches in order; each keeps a slot of shared memory until its pixels are copied."""
    slots, full = readers * AHEAD + 1, (parts[0][0].size, *reader.size[::-1], 3)
    waiting: deque[tuple[int, list[Share]]] = deque()
    with shared_slots(slots, full) as memory:
        place = None if memory is None else (memory.name, full)
        with _reader_processes(reader, place, readers) as pools:
            for number in range(len(parts) + slots):
                if number < len(parts):
                    waiting.append((number, _handed_out(reader, parts[number], number % slots, pools)))
                if waiting and number >= slots - 1:
                    done, shares = waiting.popleft()
                    pixels = np.empty((parts[done][0].size, *full[1:]), np.uint8)
                    for places, future in shares:
                        through_pipe = future.result()
                        if memory is None:
                            pixels[places] = through_pipe
                    if memory is not None:
                        pixels[:] = slot_view(memory, done % slots, full)[: len(pixels)]
                    yield PatchBatch(*parts[done], pixels)


@contextmanager
def _reader_processes(
    reader: PatchReader, place: tuple[str, tuple[int, ...]] | None, number: int
) -> Iterator[list[ProcessPoolExecutor]]:
    """Pools of one process each, so that a column always goes to the same one; ended however the block is left."""
    context = get_context("spawn")
    pools = [ProcessPoolExecutor(1, context, _begin, (reader, place)) for _ in range(number)]
    try:
        yield pools
    except BrokenProcessPool as error:
        what = f"slide {reader.slide.id!r}: a process that read {reader.slide.path} died (out of memory, or killed)"
        raise DataError(what, fix="run it again; with less memory: fewer readers") from error
    finally:
        for pool in pools:
            pool.shutdown(wait=True, cancel_futures=True)


def _handed_out(reader: PatchReader, cells: Cells, slot: int, pools: list[ProcessPoolExecutor]) -> list[Share]:
    rows, cols = cells
    owner = cols // reader.block % len(pools)
    shares = [np.flatnonzero(owner == number) for number in range(len(pools))]
    return [
        (places, pool.submit(_read_apart, rows[places], cols[places], slot, places))
        for places, pool in zip(shares, pools, strict=True)
        if places.size
    ]


_mine: tuple[PatchReader, tuple[str, tuple[int, ...]] | None]


def _begin(reader: PatchReader, place: tuple[str, tuple[int, ...]] | None) -> None:
    """What a reader process keeps: where it has been on the slide, and the shared memory (name, shape of a slot)."""
    global _mine
    _mine = reader, place


def _read_apart(rows: Ints, cols: Ints, slot: int, places: Ints) -> Pixels:
    """Patches into their places in a slot; without shared memory, through the pipe."""
    reader, place = _mine
    patches = reader.read(rows, cols)
    if place is None:
        return np.stack(list(patches))
    found = slot_view(attached(place[0]), slot, place[1])
    for index, patch in zip(places.tolist(), patches, strict=True):
        found[index] = patch
    return np.empty(0, np.uint8)
