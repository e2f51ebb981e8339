"""What PAIP2019 and PAIP2020 share: how the folder is read, the options, and what a unit is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from benchmark.annotations import Annotation, read_imagescope
from benchmark.dataset import Split
from benchmark.errors import DataError
from benchmark.slides import Grid, Slide
from benchmark.slides.tissue import Mode

from .cases import Case, Index, data_root, keep_one, pairing_fault, walk
from .splits import fold_split
from .wsi_dataset import WsiDataset
from .wsi_options import WsiOptions

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
    fold: int = Field(0, ge=0, le=15, description="index of the fold that is tested, protocol=official only")
    unit_cells: int = Field(4, ge=1, le=256, description="side of a unit, cells: a region that is positive or not")
    tissue_mode: Mode = Field(
        "rgb",
        description="how tissue is separated from glass; rgb: the provider's rule; rgb-released: LC-MIL's code",
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


def read_index(
    root: Path, patients: Mapping[str, str], *, name: str, pattern: re.Pattern[str], expected: Sequence[str]
) -> Index:
    """Every slide the folder should have: the `expected` ones, then all others whose name fits `pattern`.

    Slides and annotations are found by name in any folder below the root: one folder per slide, as PAIP2019 is
    distributed, or all in one. A slide outside `expected` without an annotation is ignored (the challenges'
    validation and test parts have none). Raises `DataError` when nothing is found, or a slide appears twice.
    """
    folder = data_root(root, name, name.upper())
    images: dict[str, Path] = {}
    annotations: dict[str, Path] = {}
    for file in walk(folder):
        if pattern.fullmatch(file.stem) and file.suffix.lower() in (".svs", ".xml"):
            keep_one(images if file.suffix.lower() == ".svs" else annotations, file.stem, file)
    if not images and not patients:
        msg = f"data root {root} holds no slide such as {expected[0]}.svs in any folder"
        raise DataError(msg, fix=f"bench data info {name}   (the layout that is expected)")
    wanted = list(patients or expected)
    others = sorted((images.keys() | annotations.keys()) - set(wanted))
    silent = [slide for slide in others if slide not in annotations]
    notes = [f"{len(silent)} slides without annotation are ignored, from {silent[0]} on"] if silent else []
    names = sorted([*wanted, *(slide for slide in others if slide in annotations)])
    return Index(folder, tuple(_case(slide, images, annotations) for slide in names), (), tuple(notes))


def _case(name: str, images: Mapping[str, Path], annotations: Mapping[str, Path]) -> Case:
    image, annotation = images.get(name), annotations.get(name)
    return Case(name, image, annotation, name, "train", True, True, pairing_fault(image, annotation, True))
