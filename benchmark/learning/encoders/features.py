"""Features of frozen encoders, computed once and kept on disk for all methods, seeds, trials and processes.

One folder per key. The key covers the slide's content, lattice, cells, reader and level, encoder (architecture,
weights, transform, precision). A folder is written under a temporary name and renamed, under a lock of its own: what
is there is whole, and processes that ask for the same at once compute it once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from benchmark.digest import content_digest
from benchmark.errors import DataError
from benchmark.identity import digest_of
from benchmark.learning.encoders.elsewhere import FeatureFolder, SlideFeatures
from benchmark.slides import Grid, Slide, stream_patches
from benchmark.slides.readers import reader_version

if TYPE_CHECKING:
    from benchmark.learning.encoders.frozen import FrozenEncoder

VALUES, CELLS, FACTS = "values.npy", "cells.npy", "key.json"
VERSION = 1
"""Raise it whenever the same key would hold something else."""
ROWS = 1024
"""Rows of a file that are copied at once."""

Track = Callable[[Iterable[Any], str, int | None], Iterator[Any]]


@dataclass(frozen=True, eq=False)
class Features:
    """`values`: n × dim, memory-mapped, read only. `rows`, `cols` (n): their cells, row by row."""

    values: NDArray[np.floating[Any]]
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.rows.size)


class FeatureCache:
    """The features below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(
        self,
        slide: Slide,
        grid: Grid,
        where: NDArray[np.bool_] | None,
        encoder: FrozenEncoder | FeatureFolder,
        *,
        batch: int = 64,
        track: Track | None = None,
    ) -> Features:
        """Features of the patches of `grid` where `where` (default everywhere) is true.

        Those of a folder are copied, so that they are read as all others are. Memory is bounded by the batch.
        `track(batches, text, number)` shows progress while they are computed. An entry that is damaged is computed
        again, with a warning. Raises `DataError` when the slide cannot be read, the cache cannot be written or the disk
        is full, `FeaturesError` when a folder has no such features; then
        nothing is left behind.
        """
        wanted = np.ones(grid.shape, np.bool_) if where is None else where
        source = encoder.on(slide) if isinstance(encoder, FeatureFolder) else encoder
        facts = _facts(slide, grid, wanted, source)
        home = self.folder / facts["key"][:2] / facts["key"]
        if (features := _load(home, facts, wanted)) is not None:
            return features
        try:
            home.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(home.with_suffix(".lock"))
            lock.acquire()
        except OSError as error:
            raise _unwritable(home, error) from error
        try:
            if (features := _load(home, facts, wanted)) is not None:
                return features
            if home.exists():
                text = f"{home} is damaged: the features of slide {slide.id!r} ({source.name}) are computed again"
                warnings.warn(text, stacklevel=2)
            if isinstance(source, SlideFeatures):
                blocks = source.blocks(grid, wanted, ROWS)
            else:
                blocks = _encoded(slide, grid, wanted, source, batch, track)
            _compute(home, facts, wanted, blocks)
            features = _load(home, facts, wanted)
        finally:
            lock.release()
        if features is None:
            raise DataError(f"the features just written to {home} cannot be read", fix="bench cache info")
        return features


def _encoded(
    slide: Slide, grid: Grid, wanted: NDArray[np.bool_], encoder: FrozenEncoder, batch: int, track: Track | None
) -> Iterator[NDArray[np.floating[Any]]]:
    """What the encoder makes of the wanted patches, batch after batch."""
    batches: Iterable[Any] = stream_patches(
        slide, grid, wanted, side=encoder.side, batch=batch, interpolation=encoder.interpolation
    )
    if track is not None:
        number = -(-int(np.count_nonzero(wanted)) // batch)
        batches = track(batches, f"features of {slide.id} ({encoder.name})", number)
    for part in batches:
        yield encoder(part.pixels).cpu().numpy()


def _facts(
    slide: Slide, grid: Grid, wanted: NDArray[np.bool_], encoder: FrozenEncoder | SlideFeatures
) -> dict[str, Any]:
    """The facts behind the key, in readable form; `key` is the digest of those before it, the others tell more."""
    facts: dict[str, Any] = {
        "version": VERSION,
        "content": _content(slide),
        "grid": grid.digest,
        "cells": hashlib.sha256(np.packbits(wanted).tobytes()).hexdigest()[:16],
        "reader": reader_version(),
        "level": 0,
        "encoder": encoder.digest,
        "precision": encoder.precision,
    }
    if slide.arrangement and len(slide.files) == 1:
        facts["arrangement"] = slide.arrangement
    named = {"slide": slide.id, "encoder_name": encoder.name, "dim": encoder.dim, "patch": [grid.width, grid.height]}
    place = {"x": grid.x.tolist(), "y": grid.y.tolist(), "size": list(slide.size)}
    place |= {"mpp": slide.mpp, "file": str(slide.path.absolute())}
    return {**facts, "key": digest_of(facts)[:32], **named, "patches": int(np.count_nonzero(wanted)), **place}


def _content(slide: Slide) -> str:
    path, *more = slide.files
    if more:
        return _set_content(slide)
    try:
        return content_digest(path.parent, [path])
    except DataError as error:
        raise DataError(f"slide {slide.id!r}: {error.what}", fix=f"ls {path.parent}") from error


def _set_content(slide: Slide) -> str:
    """Of all tiles in their order; computed once per process for tiles of unchanged size and time."""
    try:
        stamps = [(path.stat().st_size, path.stat().st_mtime_ns) for path in slide.files]
    except OSError as error:
        problem = f"slide {slide.id!r}: {error.filename} cannot be read: {error.strerror or error}"
        raise DataError(problem, fix=f"ls {slide.path}") from error
    names = [path.relative_to(slide.path).as_posix() for path in slide.files]
    key = digest_of([str(slide.path), names, stamps, slide.arrangement])
    if key not in _known_sets:
        _known_sets[key] = digest_of(
            [names, content_digest(slide.path, slide.files, remember=True), slide.arrangement]
        )[:32]
    return _known_sets[key]


_known_sets: dict[str, str] = {}


def _compute(
    home: Path, facts: dict[str, Any], wanted: NDArray[np.bool_], blocks: Iterable[NDArray[np.floating[Any]]]
) -> None:
    began = time.perf_counter()
    unfinished = home.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a writer that was killed: the lock is ours now
    try:
        unfinished.mkdir()
        shape, dtype = (facts["patches"], facts["dim"]), np.dtype(facts["precision"])
        _write_values(unfinished / VALUES, shape, dtype, blocks)
        np.save(unfinished / CELLS, np.argwhere(wanted).astype(np.int64))
        told = {**facts, "seconds": round(time.perf_counter() - began, 3), "created": time.time()}
        (unfinished / FACTS).write_text(json.dumps(told, indent=1) + "\n")
        shutil.rmtree(home, ignore_errors=True)  # damaged, if it is there at all
        unfinished.rename(home)
    except OSError as error:
        raise _unwritable(home, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_values(
    path: Path, shape: tuple[int, int], dtype: np.dtype[Any], blocks: Iterable[NDArray[np.floating[Any]]]
) -> None:
    """Write batch after batch to one .npy file. Not through a memory map, where a full disk would crash the process."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_2_0(stream, header)
        for block in blocks:
            stream.write(block.astype(dtype, copy=False).tobytes())
        stream.flush()
        os.fsync(stream.fileno())


def _load(home: Path, facts: dict[str, Any], wanted: NDArray[np.bool_]) -> Features | None:
    """The features kept at `home`; None when they are missing or are others than were asked for."""
    cells = np.argwhere(wanted)
    try:
        kept = np.load(home / CELLS)
        values = np.load(home / VALUES, mmap_mode="r" if cells.size else None)
        key = json.loads((home / FACTS).read_text())["key"]
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return None
    shape, kind = (len(cells), facts["dim"]), np.dtype(facts["precision"])
    if values.shape != shape or values.dtype != kind or not np.array_equal(kept, cells) or key != facts["key"]:
        return None
    with suppress(OSError):  # when it was last used, for `bench cache prune`; a cache may be shared read-only
        os.utime(home / FACTS)
    return Features(values, kept[:, 0], kept[:, 1])


def _unwritable(home: Path, error: OSError) -> DataError:
    problem = f"cannot keep features in {home.parent}: {error.strerror or error}"
    return DataError(problem, fix="make room: bench cache prune --max-size 10, or name another folder: BENCH_CACHE=DIR")
