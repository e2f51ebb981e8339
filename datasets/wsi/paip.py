"""What PAIP2019 and PAIP2020 share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from benchmark.annotations import Annotation, read_imagescope
from benchmark.dataset import Split
from benchmark.slides import Grid, Slide
from benchmark.slides.tissue import Mode

from .cases import Case
from .options import WsiOptions
from .splits import fold_split
from .wsi_dataset import WsiDataset

PRESENCE = 0.05
"""A unit is positive when more than this share of it is lesion, as OEEM has it for crops of GlaS."""


class PaipOptions(WsiOptions):
    """The options of both PAIP sets: folds, for the official test labels are not public; units are regions."""

    protocol: Literal["official", "lcmil"] = Field(
        "lcmil",
        description="lcmil: the paper's slides are the test split, the other annotated ones train; official: folds, "
        "for the annotations of the challenge's test part are not public",
    )
    folds: int = Field(5, ge=2, le=16, description="number of folds of whole patients, protocol=official only")
    fold: int = Field(0, ge=0, le=15, description="the fold that is the test part, protocol=official only")
    unit_cells: int = Field(4, ge=1, le=256, description="side of a unit, cells: a region that is positive or not")
    tissue_mode: Mode = Field(
        "rgb",
        description="how tissue is told from glass; rgb is the provider's rule, rgb-released that of LC-MIL's code",
    )

    @model_validator(mode="after")
    def _fold_exists(self) -> Self:
        if self.fold >= self.folds:
            raise ValueError(f"fold = {self.fold} does not exist; expected 0 to folds - 1 = {self.folds - 1}")
        if self.fold and self.protocol == "lcmil":
            raise ValueError(f"fold = {self.fold} has no meaning with protocol=lcmil; expected protocol=official")
        return self


class PaipDataset(WsiDataset):
    """Slides that all hold a lesion, one slide per patient; a unit is a square of cells."""

    Options = PaipOptions

    @property
    def paip(self) -> PaipOptions:
        """The options, as what they are."""
        assert isinstance(self.settings, PaipOptions)
        return self.settings

    def split(self, cases: Sequence[Case]) -> dict[str, Split]:
        """Folds over every slide that should be there, so that an absent one moves no other."""
        return fold_split(cases, self.paip.folds, self.paip.fold, self.paip.split_seed)

    def unit_grid(self, slide: Slide) -> Grid:
        """Squares of `unit_cells` cells, the last ones moved inwards: every slide holds a lesion, so none is a unit."""
        side = self.paip.unit_cells * self.cell(slide)
        return Grid.windows(slide.size, side, side)

    def unit_labels(self, slide: Slide) -> NDArray[np.int8]:
        """1 where lesion covers more than 5 % of the square."""
        shares = self.truth(slide).fractions(self.unit_grid(slide), len(self.classes))
        return np.asarray(shares[..., 1] > PRESENCE, np.int8)

    def unit_top(self, slide: Slide) -> int:
        """As many cells as make a unit positive."""
        return max(1, round(PRESENCE * self.paip.unit_cells**2))

    def read_truth(self, case: Case) -> Annotation:
        """The lesion layer of the ImageScope file."""
        assert case.annotation is not None
        annotation = read_imagescope(case.annotation, self.layers())
        annotation.notes = tuple(note for note in annotation.notes if not note.text.startswith("layers passed over"))
        return annotation

    def layers(self) -> dict[str, int]:
        """Which layer of the annotation is the lesion."""
        raise NotImplementedError
