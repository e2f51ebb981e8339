"""Invasive ductal carcinoma: breast slides pasted of the 50-px patches that were released of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.dataset import DatasetCard, Split, TissueSource, VerifyReport
from benchmark.errors import DataError
from benchmark.slides import Grid, Piece, Slide

from ..folds import validation_patients
from .cases import Case, Index, data_root, walk
from .idc_miniature import mark_patches, write_idc
from .labelled import LabelledOptions
from .pasted_dataset import Layout, PastedDataset
from .wsi_miniature import Planned, shares
from .wsi_options import WsiOptions
from .wsi_verify import named

NAME = re.compile(r"(?P<patient>[A-Za-z0-9-]+)_idx5_x(?P<x>\d{1,6})_y(?P<y>\d{1,6})_class(?P<label>[01])\.png")
SIDE = 50
"""Side of a patch in px."""

LARGEST = 20_000
"""Px of a slide's longer side; a place further away is a misread name."""

PRESENCE = 0.05
"""A unit is positive when more than this share of its tissue is tumour."""


class IdcOptions(LabelledOptions):
    """How patients are split; units are regions, for every slide holds a tumour."""

    patch: int = Field(
        100,
        ge=16,
        le=4096,
        description="side of a patch, px, centred on its 50-px cell: the cell with 25 px of what lies around it",
    )
    coarse_halve: Literal["auto", "never", "always"] = Field(
        "auto",
        description="cut a region in half by a random line, of coarse_seed; auto: if it is the only one, as in the "
        "paper's text",
        json_schema_extra={"source": "LC-MIL IV"},
    )
    test: float = Field(
        0.4, gt=0, le=1, description="share of the slides that test, by patient; a single patient always tests"
    )
    unit_cells: int = Field(4, ge=1, le=64, description="side of a unit, cells: a region that is positive or not")


class Idc(PastedDataset):
    """One slide per patient; a unit is a square of cells. With one patient there is a test slide and no other."""

    Options = IdcOptions
    name = "idc"
    card: ClassVar[DatasetCard] = DatasetCard(
        title="IDC – invasive ductal carcinoma in breast slides, by 50-px patches",
        homepage="https://www.kaggle.com/datasets/paultimothymooney/breast-histopathology-images",
        licence="CC0",
        citation="Cruz-Roa et al., Automatic detection of invasive ductal carcinoma in whole slide images with "
        "convolutional neural networks, SPIE Medical Imaging 9041 (2014) 904103",
        size="277 524 patches of 279 patients, about 2 GB; the publication has 162 of them",
        obtain="Download the archive from the homepage, unpack it, and name the folder with --data. "
        "Any of its patients' folders will do, one is enough for methods that refine a coarse annotation.",
        layout="PATIENT/0/*.png and PATIENT/1/*.png, or all patches in one folder; names "
        "PATIENT_idx5_xX_yY_classC.png. Pasted at (X, Y) the patches give the slide back; where there is none, "
        "there is glass.",
    )
    nominal_mpp = 4.0
    tile = SIDE
    listed: ClassVar[tuple[str, ...]] = ()
    required = (Split.TEST,)
    classes = ("normal", "tumour")

    @classmethod
    def index(cls, root: Path, options: WsiOptions, patients: Mapping[str, str]) -> Index:
        """Every patient that has patches. Raises `DataError` for names that are none of the release's."""
        folder = data_root(root, cls.name, "IDC_regular_ps50_idx5")
        patches = _patches(folder)
        lost = mark_patches(folder)
        cases = [
            Case(patient, folder, None, patient, "", None, fault=_fault(own, lost.get(patient, ())))
            for patient, own in patches.items()
        ]
        cases += [
            Case(patient, None, None, patient, "", None, fault=f"none of its {len(own)} patches is there")
            for patient, own in lost.items()
            if patient not in patches
        ]
        return Index(folder, tuple(sorted(cases, key=lambda case: case.id)))

    @cached_property
    def _patches(self) -> Mapping[str, Sequence[Path]]:
        return _patches(self.root)

    @property
    def own(self) -> IdcOptions:
        """The options, as what they are."""
        assert isinstance(self.settings, IdcOptions)
        return self.settings

    @property
    def tiles(self) -> Sequence[Path]:
        """Every patch of every patient."""
        return [path for own in self._patches.values() for path in own]

    def layout(self, slide: str) -> Layout:
        """The patches at their places, the first of them in each direction at 0."""
        if slide not in self._layouts:
            self._layouts[slide] = _layout(self.root, slide, self._patches[slide])
        return self._layouts[slide]

    @cached_property
    def _layouts(self) -> dict[str, Layout]:
        return {}

    def split(self, cases: Sequence[Case]) -> dict[str, Split]:
        """About `test` of the slides test, whole patients; where there is one patient, or test=1, all of them."""
        patients = [case.patient for case in cases]
        if len(set(patients)) < 2 or self.own.test == 1:
            return {case.id: Split.TEST for case in cases}
        tests = validation_patients(patients, ["" for _ in cases], self.own.test, self.own.split_seed)
        return {case.id: Split.TEST if case.patient in tests else Split.TRAIN for case in cases}

    def aside(self, training: Sequence[Case]) -> frozenset[str]:
        """None where fewer than two patients train."""
        return super().aside(training) if len({case.patient for case in training}) > 1 else frozenset()

    def unit_grid(self, slide: Slide) -> Grid:
        """Squares of `unit_cells` cells, the last ones moved inwards."""
        side = self.own.unit_cells * self.cell(slide)
        return Grid.windows(slide.size, side, side)

    def unit_labels(self, slide: Slide) -> NDArray[np.int8]:
        """1 where tumour covers more than 5 % of the square."""
        covered = self.truth(slide).fractions(self.unit_grid(slide), len(self.classes))
        return np.asarray(covered[..., 1] > PRESENCE, np.int8)

    def unit_top(self, slide: Slide) -> int:
        """As many cells as make a unit positive."""
        return max(1, round(PRESENCE * self.own.unit_cells**2))

    def reading_notes(self, slide: Slide) -> Sequence[str]:
        """See `WsiDataset`; also how many patches there are, and those smaller than 50 px."""
        own = self._patches[slide.id]
        small = _small(own)
        notes = [*super().reading_notes(slide), f"pasted of {len(own)} patches; glass is supposed where there is none"]
        if small:
            notes.append(f"{len(small)} patches are smaller than {SIDE} px, the rest of them is glass: {named(small)}")
        return tuple(notes)

    def check_counts(self, report: VerifyReport) -> None:
        """How many patients and patches there are, and which patches are small: the release's parts are welcome."""
        tumour = sum(path.stem.endswith("1") for path in self.tiles)
        report.note(f"{len(self._patches)} patients with {len(self.tiles)} patches, {tumour} of them tumour")
        if small := _small(self.tiles):
            report.note(f"{len(small)} patches are smaller than {SIDE} px, the rest of them is glass: {named(small)}")

    @classmethod
    def synthesize(
        cls, root: Path, *, slides: int, seed: int, tissue: TissueSource | None = None, side: int | None = None
    ) -> None:
        """Write patches in folders by patient and class, of slides that all hold a tumour."""
        parts = shares(slides)
        plan = [Planned(f"{10_000 + number}", split, True) for number, split in enumerate(_spread(parts))]
        write_idc(root, plan, seed=seed, tissue=tissue, side=side)


def _spread(parts: Mapping[Split, int]) -> list[Split]:
    return [split for split, number in parts.items() for _ in range(number)]


def _patches(root: Path) -> dict[str, list[Path]]:
    """Patient → patches. Raises `DataError` when there is none, or a PNG has another name."""
    patches: dict[str, list[Path]] = {}
    strangers = []
    for file in walk(root):
        if file.suffix.lower() != ".png":
            continue
        if match := NAME.fullmatch(file.name):
            patches.setdefault(match["patient"], []).append(file)
        else:
            strangers.append(file.name)
    expected = "PATIENT_idx5_xX_yY_classC.png"
    if strangers:
        msg = f"{root} holds {len(strangers)} PNG files that are not named {expected}: {named(strangers)}"
        raise DataError(msg, fix="move them away, or name the folder of the release")
    if not patches:
        raise DataError(f"data root {root} holds no patch {expected} in any folder", fix="bench data info idc")
    return patches


def _place(path: Path) -> tuple[int, int, int]:
    match = NAME.fullmatch(path.name)
    assert match is not None
    return int(match["x"]), int(match["y"]), int(match["label"])


def _fault(paths: Sequence[Path], expected: Sequence[str]) -> str | None:
    """Why a slide cannot be pasted, as far as names tell; None when it can."""
    names = {path.name for path in paths}
    if lost := sorted(set(expected) - names):
        return f"{len(lost)} of {len(expected)} patches are gone: {named(lost)}"
    taken: dict[tuple[int, int], Path] = {}
    left, top = (min(_place(path)[axis] for path in paths) for axis in (0, 1))
    for path in paths:
        x, y, label = _place(path)
        if (x - left) % SIDE or (y - top) % SIDE:
            return f"{path.name} lies between the {SIDE}-px cells that begin at x {left}, y {top}"
        if max(x - left, y - top) > LARGEST:
            return f"{path.name} lies more than {LARGEST} px from the first patch"
        if (x, y) in taken:
            return f"{path.name} and {taken[x, y].name} lie at the same place"
        if path.parent.name in ("0", "1") and path.parent.name != str(label):
            return f"{path.name} lies in the folder of class {path.parent.name}"
        taken[x, y] = path
    return None


def _layout(root: Path, patient: str, paths: Sequence[Path]) -> Layout:
    places = np.array([_place(path) for path in paths])
    first = places[:, :2].min(axis=0)
    cols, rows = (places[:, :2] - first).T // SIDE
    classes = np.zeros((rows.max() + 1, cols.max() + 1), np.uint8)
    there = np.zeros(classes.shape, np.bool_)
    classes[rows, cols], there[rows, cols] = places[:, 2], True
    pieces = tuple(
        Piece(path.relative_to(root).as_posix(), col * SIDE, row * SIDE)
        for path, row, col in zip(paths, rows.tolist(), cols.tolist(), strict=True)
    )
    return Layout(pieces, (classes.shape[1] * SIDE, classes.shape[0] * SIDE), classes, there, patient)


def _small(paths: Sequence[Path]) -> list[str]:
    """Names of the patches whose header tells a smaller side than 50 px."""
    from PIL import Image

    small = []
    for path in paths:
        try:
            with Image.open(path) as image:
                if min(image.size) < SIDE:
                    small.append(path.name)
        except (OSError, SyntaxError, ValueError):  # said where it is pasted
            continue
    return small
