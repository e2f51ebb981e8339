"""The base of sets whose slides are pasted of released tiles, each of which has one class."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations import Annotation, LabelImage
from benchmark.dataset import Split, VerifyReport
from benchmark.errors import BlankSlideError
from benchmark.slides import Grid, PastedSlide, Piece, Slide, SlideFacts
from benchmark.slides.pasted import piece_faults

from .cases import Case
from .probing import Probed
from .wsi_dataset import WsiDataset
from .wsi_verify import SHOWN, check_patients, check_usable

Labels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Layout:
    """What a slide is made of. `classes`: rows × cols, class of every tile's place; `there`: where a tile lies."""

    pieces: tuple[Piece, ...]
    extent: tuple[int, int]
    classes: Labels
    there: NDArray[np.bool_]
    pool: str = ""


class PastedDataset(WsiDataset):
    """A cell is a tile, and holds tissue where there is one. A subclass says which tiles a slide is made of."""

    tile: ClassVar[int]
    """Side of a tile in px."""

    @abstractmethod
    def layout(self, slide: str) -> Layout:
        """The tiles of one slide."""

    @cached_property
    def _probed(self) -> Probed:
        """No tile is opened; `verify` decodes them all."""
        missing = {case.id: case.fault for case in self.cases.values() if case.fault}
        extents = {case.id: self.layout(case.id).extent for case in self.cases.values() if not case.fault}
        facts = {name: SlideFacts(size, (size,), (1.0,), None, None, None) for name, size in extents.items()}
        return Probed(facts, missing)

    def _slide(self, case: Case) -> Slide:
        own = self.layout(case.id)
        mpp = self.supposed_mpp
        return PastedSlide(case.id, self.root, case.patient, mpp, own.pieces, own.extent, self.tile, own.pool)

    def cell(self, slide: Slide) -> int:
        """Side of a cell in level-0 px: that of a tile, unless the option says otherwise."""
        return self.settings.cell or self.tile

    def simulated_cell(self, slide: Slide) -> int:
        """The truth is known by tiles, so its coarse annotation is made on them."""
        return self.tile

    def tissue(self, slide: Slide, grid: Grid) -> NDArray[np.bool_]:
        """Cells with a tile under their centre; of a slide that is not pasted, those that look it.

        Raises `BlankSlideError` where there is none.
        """
        if not isinstance(slide, PastedSlide):
            return super().tissue(slide, grid)
        there = self.layout(slide.id).there.astype(np.uint8)
        mask: NDArray[np.bool_] = LabelImage(there, downsample=self.tile).labels(grid) > 0
        if not mask.any():
            raise BlankSlideError(
                f"slide {slide.id!r}: no cell of {grid.shape} holds a tile", fix="--set dataset.cell=null"
            )
        return mask

    def annotated(self, slide: Slide) -> bool:
        """Every tile has a class."""
        return True

    def _expert(self, slide: Slide) -> Annotation:
        return LabelImage(self.layout(slide.id).classes, downsample=self.tile, separated=True)

    def read_truth(self, case: Case) -> Annotation:
        """The classes of the tiles."""
        return self._expert(self.slide(case.id))

    def files(self) -> Sequence[Path]:
        """Tables and tiles."""
        return [*self.contents.tables, *sorted(self.tiles)]

    @property
    @abstractmethod
    def tiles(self) -> Sequence[Path]:
        """Every tile that is read."""

    def check_people(self, report: VerifyReport, usable: Mapping[Split, Sequence[Slide]]) -> None:
        """A patient in both train and test is a fault."""
        check_patients(report, usable)

    def verify(self) -> VerifyReport:
        """Decode every tile. Facts: `slides`, `usable`, `missing`, `patients`, `tiles`, and the slides per split."""
        report = VerifyReport()
        for note in self.contents.notes:
            report.note(note)
        self.check_counts(report)
        usable: Mapping[Split, Sequence[Slide]] = self._dealt.slides
        check_usable(report, usable, self._dealt.missing, [])
        report.facts.update(slides=len(self.cases), tiles=len(self.tiles))
        faults = piece_faults(self.tiles, self.name, self.tile)
        for fault in faults[:SHOWN]:
            report.check(False, fault)
        sound = f"{len(self.tiles) - len(faults)} of {len(self.tiles)} tiles can be read"
        report.check(not faults, sound if len(faults) <= SHOWN else f"{sound}; {SHOWN} others are named above")
        report.note(f"no tile states its resolution: {self.supposed_mpp:g} µm/px is taken ({self._supposed})")
        self.check_people(report, usable)
        empty = [str(split) for split in Split if not usable[split]]
        if empty:
            report.note(f"no {' and no '.join(empty)} slides: methods that learn from them do not apply")
        return report
