"""The patches of many slides under one numbering, read at random as batches ask for them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.slides.strips import Interpolation, PatchReader

if TYPE_CHECKING:
    from benchmark.slides import Grid, Slide

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.int64]
MOST_THREADS = 16


@dataclass(frozen=True, eq=False)
class SlidePatches:
    """The instances of one slide. `where`: rows × cols of `grid`, the patches that are instances.

    `positive`: per instance, row by row, whether only positive bags hold it; one that lies in a negative bag as well
    is negative for certain.
    """

    slide: Slide
    grid: Grid
    where: NDArray[np.bool_]
    positive: NDArray[np.bool_]


class Instances:
    """All instances of some slides: a number is an instance's place, slide by slide and row by row.

    Patches are decoded when a batch needs them, by several threads; decoded ones are kept up to `room` bytes, so
    memory is bounded by that and by two batches. `positive` (n): as in `SlidePatches`.
    """

    def __init__(
        self, slides: Sequence[SlidePatches], side: int, *, room: float, interpolation: Interpolation = "bilinear"
    ) -> None:
        self.slides, self.side = slides, side
        self._interpolation = interpolation
        self._cells = [np.argwhere(part.where) for part in slides]
        self.starts = np.cumsum([0, *(len(cells) for cells in self._cells)])
        self.positive: NDArray[np.bool_] = np.concatenate([np.empty(0, np.bool_), *(part.positive for part in slides)])
        self._kept: dict[int, Pixels] = {}
        self._room = int(room // (3 * side * side))

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def held(self) -> int:
        """Bytes of the decoded patches that are kept."""
        return sum(pixels.nbytes for pixels in self._kept.values())

    def batches(self, wanted: Iterable[Numbers]) -> Iterator[Pixels]:
        """The patches of one batch after the other, n × side × side × 3; the next one is read ahead."""
        threads = max(1, min(MOST_THREADS, os.cpu_count() or 1))
        with ThreadPoolExecutor(threads) as pool:
            ahead: list[Future[Pixels]] | None = None
            try:
                for numbers in wanted:
                    before, ahead = ahead, [pool.submit(self.patch, number) for number in numbers.tolist()]
                    if before is not None:
                        yield np.stack([future.result() for future in before])
                if ahead is not None:
                    yield np.stack([future.result() for future in ahead])
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def patch(self, number: int) -> Pixels:
        """One patch, side × side × 3: the same bits as an encoder is given."""
        kept = self._kept.get(number)
        if kept is None:
            place = int(np.searchsorted(self.starts, number, side="right")) - 1
            part = self.slides[place]
            cell = self._cells[place][number - self.starts[place]]
            reader = PatchReader(part.slide, part.grid, (self.side, self.side), 1, self._interpolation)
            kept = np.asarray(next(reader.read(cell[:1], cell[1:])))
            if len(self._kept) < self._room:
                self._kept[number] = kept
        return kept
