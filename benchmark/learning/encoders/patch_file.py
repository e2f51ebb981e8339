"""Patches on disk, read as a training step asks for them: memory holds a batch, never all of them."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError

READERS = 4
"""Threads that read a batch, unless told otherwise; any number gives the same patches."""
SHARE = 16
"""Patches below which a thread of its own is not worth starting."""


class PatchFile:
    """Patches of one size, n × `side` × `side` × 3, one after the other in a file of raw bytes."""

    def __init__(self, path: Path, side: int) -> None:
        self.path, self.side = path, side
        self._bytes = side * side * 3
        self._number = path.stat().st_size // self._bytes

    @classmethod
    def write(cls, path: Path, side: int, batches: Iterable[NDArray[np.uint8]]) -> PatchFile:
        """Write batches as they come. Raises `DataError` when the disk is full or the file cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as stream:
                for batch in batches:
                    stream.write(np.ascontiguousarray(batch, np.uint8).data)
        except OSError as error:
            if path.is_file():
                path.unlink()
            what = f"cannot keep patches in {path}: {error.strerror or error}"
            raise DataError(what, fix="make room: bench cache prune, or fewer: --set encoder_patches=1000") from error
        return cls(path, side)

    def __len__(self) -> int:
        return self._number

    def take(self, numbers: NDArray[np.int64], *, readers: int | None = None) -> NDArray[np.uint8]:
        """The patches of these numbers, in their order.

        Raises `DataError` when the file has become shorter.
        """
        patches = np.empty((numbers.size, self.side, self.side, 3), np.uint8)
        threads = max(1, min(READERS if readers is None else readers, numbers.size // SHARE or 1))
        places = np.array_split(np.arange(numbers.size), threads)
        if threads == 1:
            self._read(numbers, places[0], patches)
            return patches
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda part: self._read(numbers, part, patches), places))
        return patches

    def _read(self, numbers: NDArray[np.int64], places: NDArray[np.int64], patches: NDArray[np.uint8]) -> None:
        with self.path.open("rb", buffering=0) as stream:
            for place in places.tolist():
                stream.seek(int(numbers[place]) * self._bytes)
                if stream.readinto(patches[place].reshape(-1).data) != self._bytes:
                    raise DataError(f"{self.path} ends before patch {numbers[place]}", fix="run the same command again")
