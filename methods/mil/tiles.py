"""The tiles of some slides, read again and again: as pixels, or as rows of features where the encoder is frozen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.encoders.frozen import FrozenEncoder
    from benchmark.learning.mil.cohort import Cohort
    from benchmark.learning.mil.lattice import Lattice

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
Numbers = NDArray[np.int64]


class Tiles:
    """All tissue tiles of a cohort, slide by slide.

    The tiles of the first slides are kept as uint8, whole slides as long as `room` bytes suffice; the others are read
    from their files at every pass. Either way come the same bits in the same batches. Tiles of a slide are addressed
    by their place among its tissue tiles, row by row.

    `owners`, `slides`, `entries`: one line for every tile of every unit (a tile may lie in several), in the order of
    units (hence of slides) and of their tiles: number of the unit, place of the slide, place of the tile in it.
    """

    def __init__(self, cohort: Cohort, room: float) -> None:
        self.cohort = cohort
        self._numbers = [lattice.numbers for lattice in cohort.lattices]
        self._held: dict[int, Pixels] = {}
        self._planned: set[int] = set()
        self.room_left = room
        for place, size in enumerate(self.bytes_of(place) for place in range(len(self._numbers))):
            if size <= self.room_left:
                self._planned.add(place)
                self.room_left -= size
        sizes = [unit.numbers.size for unit in cohort.units]
        self.owners: Numbers = np.repeat(np.arange(len(sizes)), sizes)
        self.slides: Numbers = np.repeat(np.array([unit.slide for unit in cohort.units], np.int64), sizes)
        entries = [np.searchsorted(self._numbers[unit.slide], unit.numbers) for unit in cohort.units]
        self.entries: Numbers = np.concatenate([np.empty(0, np.int64), *entries])

    def __len__(self) -> int:
        return sum(numbers.size for numbers in self._numbers)

    @property
    def held(self) -> int:
        """Bytes of the tiles that are in memory now."""
        return sum(pixels.nbytes for pixels in self._held.values())

    def bytes_of(self, place: int) -> int:
        """Bytes of a slide's tiles when decoded."""
        return self._numbers[place].size * 3 * self.cohort.lattices[place].side ** 2

    def stream(self, place: int, batch: int) -> Iterator[Pixels]:
        """The tiles of one slide in order, n × side × side × 3 with n = `batch` but in the last."""
        held = self._held.get(place)
        if held is not None:
            yield from (held[start : start + batch] for start in range(0, len(held), batch))
            return
        lattice = self.cohort.lattices[place]
        kept = None
        if place in self._planned:
            kept = np.empty((self._numbers[place].size, lattice.side, lattice.side, 3), np.uint8)
        start = 0
        for _, pixels in lattice.stream(batch):
            if kept is not None:
                kept[start : start + len(pixels)] = pixels
            start += len(pixels)
            yield pixels
        if kept is not None:
            self._held[place] = kept

    def read(self, lines: Sequence[int] | Numbers) -> Pixels:
        """The tiles of some lines of `entries`, n × side × side × 3."""
        return np.stack([self._tile(int(self.slides[line]), int(self.entries[line])) for line in lines])

    def _tile(self, place: int, entry: int) -> Pixels:
        held = self._held.get(place)
        if held is not None:
            return np.asarray(held[entry])
        return self.cohort.lattices[place].read(int(self._numbers[place][entry]))


class FeatureTiles(Tiles):
    """The tiles of a cohort as a frozen encoder sees them: rows of the feature cache, computed at the first look."""

    def __init__(self, cohort: Cohort, encoder: FrozenEncoder, batch: int, context: Context) -> None:
        super().__init__(cohort, 0.0)
        self._encoder, self._batch, self._context = encoder, batch, context
        self._rows: dict[int, Floats] = {}

    @property
    def dim(self) -> int:
        """Numbers per tile."""
        return self._encoder.dim

    def stream(self, place: int, batch: int) -> Iterator[Floats]:  # type: ignore[override]
        """The features of one slide's tiles in order, n × dim with n = `batch` but in the last."""
        rows = self._of(place)
        yield from (rows[start : start + batch] for start in range(0, len(rows), batch))

    def read(self, lines: Sequence[int] | Numbers) -> Floats:  # type: ignore[override]
        """The features of the tiles of some lines of `entries`, n × dim."""
        return np.stack([self._of(int(self.slides[line]))[int(self.entries[line])] for line in lines])

    def _of(self, place: int) -> Floats:
        if place not in self._rows:
            lattice = self.cohort.lattices[place]
            self._rows[place] = features_of(lattice, self._encoder, self._batch, self._context)
        return self._rows[place]


def features_of(lattice: Lattice, encoder: FrozenEncoder, batch: int, context: Context) -> Floats:
    """The features of a slide's tissue tiles, n × dim, a memory map."""
    if not lattice.tissue.any():
        return np.zeros((0, encoder.dim), np.float32)
    found = context.features.of(lattice.slide, lattice.grid, lattice.tissue, encoder, batch=batch, track=context.track)
    return found.values
