"""Open slides, a few per process, and reading regions from them at any scale."""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.slides.readers import Handle, open_handle

MAX_OPEN = 32
"""Handles kept open per process."""
MAX_DECODED = 256_000_000
"""Pixels that the tiles among them may hold decoded, in total."""
BAND = 32_000_000
"""Pixels of a level that a shrinking read holds at a time."""


class _Handles:
    """The least recently used handle is dropped first; it closes itself when its last reader is done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, int, int], Handle] = OrderedDict()

    def get(self, path: Path) -> Handle:
        stat = path.stat()
        key = (str(path), stat.st_mtime_ns, stat.st_size)
        with self._lock:
            handle = self._open.get(key) or open_handle(path)
            self._open[key] = handle
            self._open.move_to_end(key)
            while len(self._open) > 1 and (len(self._open) > MAX_OPEN or self._decoded() > MAX_DECODED):
                self._open.popitem(last=False)
            return handle

    def drop(self, path: Path) -> None:
        with self._lock:
            for key in [key for key in self._open if key[0] == str(path)]:
                del self._open[key]

    def _decoded(self) -> int:
        return sum(handle.decoded for handle in self._open.values())


_handles = _Handles()


def _forget() -> None:
    global _handles
    _handles = _Handles()


if hasattr(os, "register_at_fork"):  # a forked child would share file positions with its parent
    os.register_at_fork(after_in_child=_forget)


def size_of(path: Path, slide: str) -> tuple[int, int]:
    """(width, height) in level-0 pixels. Raises `DataError`."""
    try:
        return _handles.get(path).size
    except failures() as error:
        raise unreadable(path, slide, error) from error


def read_box(path: Path, slide: str, box: tuple[int, int, int, int], out: tuple[int, int]) -> NDArray[np.uint8]:
    """The level-0 box (x, y, width, height), averaged down to `out` (width, height). Raises `DataError`."""
    try:
        return read_region(_handles.get(path), box, out)
    except failures() as error:
        _handles.drop(path)  # OpenSlide refuses to go on with a handle that failed once
        raise unreadable(path, slide, error) from error


def read_region(handle: Handle, box: tuple[int, int, int, int], out: tuple[int, int]) -> NDArray[np.uint8]:
    """The level-0 box (x, y, width, height), averaged down to `out` (width, height)."""
    x, y, width, height = box
    if out == (width, height):
        return handle.region(x, y, 0, width, height)
    from PIL import Image

    level, factor = handle.level(min(width / out[0], height / out[1]))
    left, right = _cover(x / factor, (x + width) / factor)
    step = height / out[1]
    result = np.empty((out[1], out[0], 3), np.uint8)
    rows = max(1, int(BAND / ((right - left) * max(1.0, step / factor))))
    for start in range(0, out[1], rows):
        stop = min(start + rows, out[1])
        above, below = (y + start * step) / factor, (y + stop * step) / factor
        upper, lower = _cover(above, below)
        pixels = handle.region(round(left * factor), round(upper * factor), level, right - left, lower - upper)
        part = (
            max(0.0, x / factor - left),
            max(0.0, above - upper),
            min(right - left, (x + width) / factor - left),
            min(lower - upper, below - upper),
        )
        shrunk = Image.fromarray(pixels).resize((out[0], stop - start), Image.Resampling.BOX, box=part)
        result[start:stop] = np.asarray(shrunk)
    return result


def _cover(low: float, high: float) -> tuple[int, int]:
    return math.floor(low + 1e-6), max(math.floor(low + 1e-6) + 1, math.ceil(high - 1e-6))


def open_fresh(path: Path) -> Handle:
    """A handle of its own, not kept: what it has read before cannot hide a fault."""
    return open_handle(path)


def failures() -> tuple[type[Exception], ...]:
    """What reading a broken file may raise."""
    import openslide
    from PIL import Image

    broken = (OSError, SyntaxError, ValueError, TypeError, AttributeError, ArithmeticError)
    return *broken, openslide.OpenSlideError, Image.DecompressionBombError


def unreadable(path: Path, slide: str, error: Exception) -> DataError:
    """The error that names slide, file and reason."""
    if isinstance(error, FileNotFoundError):
        return DataError(f"slide {slide!r}: the file {path} does not exist", fix=f"ls {path.parent}")
    reason = str(error) or type(error).__name__
    fix = getattr(error, "fix", "copy it again; bench data verify NAME finds all broken files")
    return DataError(f"slide {slide!r}: {path} cannot be read: {reason}", fix=fix)
