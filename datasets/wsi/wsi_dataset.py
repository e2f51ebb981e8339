"""The base of all whole-slide sets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations import (
    Annotation,
    Bounds,
    ClassNames,
    Meaning,
    Note,
    Released,
    check_extent,
    distinct,
    noisy_coarse,
    placed,
    read_classes,
    simulate_coarse,
)
from benchmark.dataset import Dataset, Split, VerifyReport
from benchmark.dataset import Options as BaseOptions
from benchmark.errors import BlankSlideError, DataError
from benchmark.seeds import generator
from benchmark.slides import Grid, Slide, tissue_mask

from .cases import Case, Index, with_patients
from .coarse import CoarseFiles, nothing_drawn
from .inclusion import exclusion
from .kept import Kept
from .mark import read_mark
from .options import WsiOptions
from .scale import CELL_MICRONS, power_of_two
from .splits import lcmil_split, set_aside

if TYPE_CHECKING:
    from benchmark.slides.facts import SlideFacts

KEPT_ANNOTATIONS, KEPT_MASKS = 16, 32
"""Annotations and tissue masks held in memory: one slide is asked for many times in a row."""

OPENERS = 8
"""Slides tried at a time when the set is opened: mostly waiting for the disk."""


class WsiDataset(Dataset):
    """Whole slides with the outline of their lesions; a cell of the evaluation grid is one score.

    A subclass says how the folder is read (`index`), how the official split goes, and what a unit is.
    """

    Options = WsiOptions
    classes = ("normal", "lesion")
    nominal_mpp: ClassVar[float]
    """Microns per pixel of the set's slides, taken for a slide that does not say it."""
    coarse_microns: ClassVar[float] = CELL_MICRONS
    """The authors' 256 px of the simulated annotation, at the set's usual resolution."""
    listed: ClassVar[tuple[str, ...]]
    """The slides of the LC-MIL paper."""

    def __init__(self, root: Path, options: BaseOptions) -> None:
        """Match slides and annotations, and try every slide once. Raises `DataError` when nothing can be used."""
        if not isinstance(options, WsiOptions):
            raise TypeError(f"{type(self).__name__} takes WsiOptions, got {type(options).__name__}")
        self.settings = options
        index = self.index(root, read_mark(root, self.name))
        super().__init__(index.root, options)
        self.contents = index
        self.mark = read_mark(index.root, self.name)
        cases = with_patients(list(index.cases), self.mark)
        self.cases: Mapping[str, Case] = {case.id: case for case in cases}
        self.notes: dict[str, tuple[Note, ...]] = {}
        self.coarse_files = CoarseFiles(options)
        self.facts: dict[str, SlideFacts] = {}
        self._annotations: Kept[Annotation] = Kept(KEPT_ANNOTATIONS)
        self._masks: Kept[NDArray[np.bool_]] = Kept(KEPT_MASKS)
        self.excluded: dict[str, str] = {}
        self._parts: dict[str, Split] = lcmil_split(cases, self.expected_listed) if self.lcmil else self.split(cases)
        self._splits = self._usable()

    @abstractmethod
    def index(self, root: Path, patients: Mapping[str, str]) -> Index:
        """Every slide the folder should have. `patients`: of a miniature, id → patient. Raises `DataError`.

        Of this object only the options (`settings`) are known by then.
        """

    @abstractmethod
    def split(self, cases: Sequence[Case]) -> dict[str, Split]:
        """The split under protocol=official."""

    def aside(self, training: Sequence[Case]) -> frozenset[str]:
        """Ids of the training slides that validate: about `validation` of those that can be used, by patient."""
        return set_aside(training, self.settings.validation, self.settings.split_seed)

    @property
    def lcmil(self) -> bool:
        """True under protocol=lcmil."""
        return self.settings.protocol == "lcmil"

    @property
    def expected_listed(self) -> frozenset[str]:
        """The paper's slides; of a miniature, those that it has."""
        listed = frozenset(self.listed)
        return listed & self.cases.keys() if self.synthetic else listed

    def _usable(self) -> dict[Split, list[Slide]]:
        """Try every slide that has a part, and deal out those that can be used."""
        expected = [case for case in self.cases.values() if case.id in self._parts]
        with ThreadPoolExecutor(OPENERS) as pool:
            reasons = list(pool.map(self._unusable, expected))
        self._missing = {case.id: why for case, why in zip(expected, reasons, strict=True) if why is not None}
        sound = [case for case in expected if case.id not in self._missing]
        sound = self._included(sound)
        training = [case for case in sound if self._parts[case.id] is Split.TRAIN]
        for slide in self.aside(training):
            self._parts[slide] = Split.VALIDATION
        parts = {split: [self._slide(case) for case in sound if self._parts[case.id] is split] for split in Split}
        for split in (Split.TRAIN, Split.TEST):
            if not parts[split]:
                self._refuse(split)
        return parts

    def _unusable(self, case: Case) -> str | None:
        """Why a slide cannot be used, from its files; None when it can, and then its facts are known."""
        from benchmark.slides.facts import probe, slide_facts

        why = case.fault
        if (
            why is None and case.lesion and self._parts[case.id] is Split.TEST
        ):  # who learns from one slide needs no other
            why = self.coarse_files.lack(case.id)
        if why is None and case.annotation is not None and case.annotation.stat().st_size == 0:
            why = f"{case.annotation.name} is empty"
        if why is None and case.image is not None:
            why = probe(Slide(case.id, case.image, case.patient))
        if why is None and case.image is not None:
            self.facts[case.id] = slide_facts(case.image, case.id)
        return why

    def _included(self, sound: Sequence[Case]) -> list[Case]:
        if self.settings.inclusion == "all":
            return list(sound)
        kept = []
        for case in sound:
            try:
                why = None if self.lcmil and case.id in self.expected_listed else exclusion(self, case)
            except DataError as error:
                self._missing[case.id] = error.what
                continue
            if why is None:
                kept.append(case)
            else:
                self.excluded[case.id] = why
        return kept

    def _refuse(self, split: Split) -> None:
        reasons = self.missing(split)
        first = next((f"{slide}: {why}" for slide, why in reasons.items()), None)
        out = f"; {len(self.excluded)} are left out by inclusion={self.settings.inclusion}" if self.excluded else ""
        named = f"; {len(reasons)} cannot be used, the first is {first}" if first else ""
        msg = f"{self.root} holds no {split} slides under protocol={self.settings.protocol}{named}{out}"
        raise DataError(msg, fix=f"bench data info {self.name}")

    def _slide(self, case: Case) -> Slide:
        assert case.image is not None
        return Slide(case.id, case.image, case.patient, self.facts[case.id].mpp or self.nominal_mpp)

    def slide(self, name: str) -> Slide:
        """A usable slide by its id."""
        return self._slide(self.cases[name])

    def slides(self, split: Split) -> Sequence[Slide]:
        """The slides of one split that can be used, by id."""
        return self._splits[split]

    def missing(self, split: Split) -> Mapping[str, str]:
        """What the split should have and has not, or cannot be read."""
        return {slide: why for slide, why in self._missing.items() if self._parts[slide] is split}

    def cell(self, slide: Slide) -> int:
        """Side of a cell in level-0 px."""
        return self.settings.cell or power_of_two(CELL_MICRONS, slide.mpp or self.nominal_mpp)

    def evaluation_grid(self, slide: Slide) -> Grid:
        """One cell per score: round(length / cell) of them along each side, the same everywhere."""
        return Grid.regular(slide.size, self.cell(slide))

    def patch_grid(self, slide: Slide) -> Grid:
        """A patch around the centre of every cell, overlapping where it is larger than the cell."""
        return Grid.regular(slide.size, self.cell(slide), self.settings.patch)

    def tissue(self, slide: Slide, grid: Grid) -> NDArray[np.bool_]:
        """Which cells hold tissue. Raises `BlankSlideError` for a slide of glass alone."""
        mode = self.settings.tissue_mode
        mask = self._masks.get((slide.id, grid.digest), lambda: tissue_mask(slide, grid, mode))
        if not mask.any():
            msg = f"slide {slide.id!r} ({slide.path}) holds no tissue under tissue_mode={mode}"
            raise BlankSlideError(msg, fix="--set tissue_mode=grey-otsu")
        return mask

    def truth(self, slide: Slide) -> Annotation:
        """The expert's outlines, nothing on a slide without a lesion. Raises `DataError` when they do not fit it."""
        return self._annotations.get((slide.id, "truth"), lambda: self._ruled(self._expert(slide)))

    def coarse(self, slide: Slide) -> Annotation:
        """From the files or made of the truth, as `coarse` says; the same every time. Raises `DataError`."""
        return self._annotations.get((slide.id, "coarse"), lambda: self._ruled(self._coarse(slide)))

    @abstractmethod
    def read_truth(self, case: Case) -> Annotation:
        """The expert's annotation file."""

    def _expert(self, slide: Slide) -> Annotation:
        case = self.cases[slide.id]
        if not case.lesion or case.annotation is None:
            return nothing_drawn()
        return self._checked(self.read_truth(case), slide, str(case.annotation))

    def names(self, case: Case, *usual: tuple[str, Meaning]) -> ClassNames:
        """What the names in the annotation of a slide mean; `usual`: what they mean in this set unless it is given."""
        given = read_classes(self.settings.classes or "", len(self.classes))
        return ClassNames(self.classes, {**dict(usual), **given})

    def bounds(self, slide: Slide) -> Bounds | None:
        """The scanned area on the canvas, where the file says that it is not all of it."""
        bounds: Bounds | None = getattr(self.facts[slide.id], "bounds", None)
        return bounds

    def _coarse(self, slide: Slide) -> Annotation:
        options = self.settings
        if self.coarse_files.in_files:
            if not self.cases[slide.id].lesion:
                return nothing_drawn()
            names, bounds = self.names(self.cases[slide.id]), self.bounds(slide)
            drawn = self.coarse_files.read(slide.id, names, slide.size, bounds)
            return self._checked(drawn, slide, str(options.coarse_path), viewer=options.coarse == "drawn")
        rng = generator(self.name, "coarse", slide.id, options.coarse_seed)
        truth = self._expert(slide)
        if options.coarse == "noise":
            grid = self.evaluation_grid(slide)
            cell, tissue = self.cell(slide), self.tissue(slide, grid)
            return noisy_coarse(truth, slide.size, options.noise, rng, cell=cell, tissue=tissue)
        cell = options.coarse_cell or power_of_two(self.coarse_microns, slide.mpp or self.nominal_mpp)
        return simulate_coarse(truth, slide.size, options.simulation(slide.size, cell), rng)

    def _checked(self, annotation: Annotation, slide: Slide, where: str, *, viewer: bool = True) -> Annotation:
        """The annotation on the canvas, when its extent fits the slide; what is odd about it goes to the notes.

        `viewer`: it was drawn in one, which may count from the scanned area.
        """
        grid, named = self.evaluation_grid(slide), f"slide {slide.id!r}: {where}"
        facts, tissue = self.facts[slide.id], (self.tissue(slide, grid), grid)
        origin = self.settings.origin if viewer else "canvas"
        annotation = placed(annotation, slide.size, self.bounds(slide), where=named, origin=origin, tissue=tissue)
        notes = check_extent(annotation, slide.size, facts.downsamples, where=named, tissue=tissue)
        said = (note.of(slide.id) for note in (*annotation.notes, *notes))
        self.notes[slide.id] = distinct((*self.notes.get(slide.id, ()), *said))
        return annotation

    def _ruled(self, annotation: Annotation) -> Annotation:
        if self.settings.label_rule == "centre":
            return annotation
        return Released(annotation)

    def files(self) -> Sequence[Path]:
        """Tables, then every slide and its annotation. What `coarse_path` names counts among the options."""
        return [*self.contents.tables, *(file for case in self.cases.values() for file in case.files)]

    def verify(self) -> VerifyReport:
        """Open everything, compare with the official counts, and name whatever is missing or odd."""
        from .wsi_verify import verify

        return verify(self)

    @abstractmethod
    def check_counts(self, report: VerifyReport) -> None:
        """Compare the number of slides with the official one."""
