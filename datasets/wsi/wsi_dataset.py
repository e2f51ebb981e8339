"""The base of all whole-slide sets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

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
from benchmark.slides.resolution import power_of_two

from ..latest import Latest
from .cases import Case, Index, read_mark, with_patients
from .coarse_files import CoarseFiles, nothing_drawn
from .probing import Probed, check_scales, probe_slides
from .splits import Dealt, exclusion, lcmil_split, lesion_share, set_aside
from .wsi_options import CELL_MICRONS, WsiOptions
from .wsi_verify import check_annotations, check_patients, check_usable, left_out, note_resolutions

if TYPE_CHECKING:
    from benchmark.slides.facts import SlideFacts

KEPT_ANNOTATIONS, KEPT_MASKS = 16, 32
"""Annotations and tissue masks held in memory: one slide is asked for many times in a row."""


class WsiDataset(Dataset):
    """Whole slides with the outline of their lesions; a cell of the evaluation grid is one score.

    A subclass says how the folder is read (`index`), how the official split goes, and what a unit is. The folder is
    read when the object is made; slides are opened, and dealt out to the splits, when they are first asked for.
    """

    Options = WsiOptions
    classes: tuple[str, ...] = ("normal", "lesion")
    nominal_mpp: ClassVar[float]
    """Microns per pixel of the set's slides, taken for a slide that does not say it."""
    coarse_microns: ClassVar[float] = CELL_MICRONS
    """The authors' 256 px of the simulated annotation, at the set's usual resolution."""
    listed: ClassVar[tuple[str, ...]]
    """The slides of the LC-MIL paper."""
    required: ClassVar[tuple[Split, ...]] = (Split.TRAIN, Split.TEST)
    """The splits that must not be empty."""

    def __init__(self, root: Path, options: BaseOptions) -> None:
        """Match slides and annotations by name. Raises `DataError` when the folder is not this set's."""
        expected = type(self).Options
        if not isinstance(options, WsiOptions) or not isinstance(options, expected):
            raise TypeError(f"{type(self).__name__} takes {expected.__name__}, got {type(options).__name__}")
        self.settings = options
        self.contents = self.index(root, options, read_mark(root, self.name))
        super().__init__(self.contents.root, options)
        cases = with_patients(self.contents.cases, read_mark(self.root, self.name))
        self.cases: Mapping[str, Case] = {case.id: case for case in cases}
        self.notes: dict[str, tuple[Note, ...]] = {}
        self.coarse_files = CoarseFiles(options)
        self._annotations: Latest[Annotation] = Latest(KEPT_ANNOTATIONS)
        self._masks: Latest[NDArray[np.bool_]] = Latest(KEPT_MASKS)

    @classmethod
    def unrooted(cls, options: BaseModel) -> Self:
        """See `Dataset`; cells go by a slide's own microns per pixel."""
        assert isinstance(options, WsiOptions)
        bare = cls.__new__(cls)
        Dataset.__init__(bare, Path(), options)
        bare.settings = options
        bare._masks = Latest(KEPT_MASKS)
        return bare

    @classmethod
    @abstractmethod
    def index(cls, root: Path, options: WsiOptions, patients: Mapping[str, str]) -> Index:
        """Every slide the folder should have. `patients`: of a miniature, id → patient. Raises `DataError`."""

    @abstractmethod
    def split(self, cases: Sequence[Case]) -> dict[str, Split]:
        """The split under protocol=official."""

    def aside(self, training: Sequence[Case]) -> frozenset[str]:
        """Ids of the training slides that validate: about `validation` of those that can be used, by patient."""
        return set_aside(training, self.settings.validation, self.settings.split_seed)

    def check_splits(self, slides: Mapping[Split, Sequence[Slide]]) -> None:
        """Raise `DataError` where nothing can be learnt from these splits."""

    @property
    def lcmil(self) -> bool:
        """True under protocol=lcmil."""
        return self.settings.protocol == "lcmil"

    @property
    def expected_listed(self) -> frozenset[str]:
        """The paper's slides; of a miniature, those that it has."""
        listed = frozenset(self.listed)
        return listed & self.cases.keys() if self.synthetic else listed

    @cached_property
    def parts(self) -> Mapping[str, Split]:
        """Id → split, before validation slides are taken from train. Missing slides have one too."""
        cases = list(self.cases.values())
        return lcmil_split(cases, self.expected_listed) if self.lcmil else self.split(cases)

    @property
    def facts(self) -> Mapping[str, SlideFacts]:
        """What the files of the slides say of themselves, of those that can be opened."""
        return self._probed.facts

    @property
    def excluded(self) -> Mapping[str, str]:
        """Slides that the inclusion rule or a table of labels leaves out (id → why)."""
        return self._dealt.excluded

    @cached_property
    def _probed(self) -> Probed:
        return probe_slides([case for case in self.cases.values() if case.id in self.parts], self._lack)

    def _lack(self, case: Case) -> str | None:
        """Test slides need their coarse annotation; who learns from single slides needs no other's."""
        tested = case.lesion and self.parts[case.id] is Split.TEST
        return self.coarse_files.lack(case.id) if tested else None

    @cached_property
    def _dealt(self) -> Dealt:
        """Open every slide, and deal out those that can be used. Raises `DataError` for an empty split."""
        missing, excluded = dict(self._probed.missing), {}
        sound = []
        for case in (self.cases[slide] for slide in self._probed.facts):
            try:
                why = self._exclusion(case)
            except DataError as error:
                missing[case.id] = error.what
                continue
            if why is None:
                sound.append(case)
            else:
                excluded[case.id] = why
        parts = dict(self.parts)
        aside = self.aside([case for case in sound if parts[case.id] is Split.TRAIN])
        parts.update(dict.fromkeys(aside, Split.VALIDATION))
        slides = {split: [self._slide(case) for case in sound if parts[case.id] is split] for split in Split}
        dealt = Dealt(slides, parts, missing, excluded)
        for split in self.required:
            if not slides[split]:
                raise self._empty(split, dealt)
        if self.settings.scales == "one":
            check_scales([slide for part in slides.values() for slide in part], self.name)
        self.check_splits(slides)
        return dealt

    def _exclusion(self, case: Case) -> str | None:
        """Why the options leave a slide out; the inclusion rule reads its annotation."""
        if case.left_out:
            return case.left_out
        if self.settings.inclusion == "all" or (self.lcmil and case.id in self.expected_listed):
            return None
        return exclusion(case, self.lesion_share(case.id) if case.exhaustive and case.lesion else 0.0)

    def lesion_share(self, name: str) -> float:
        """Share of the tissue cells of a slide that hold a lesion. Raises `DataError`."""
        slide = self.slide(name)
        grid = self.evaluation_grid(slide)
        return lesion_share(self.truth(slide).labels(grid) > 0, self.tissue(slide, grid))

    def _empty(self, split: Split, dealt: Dealt) -> DataError:
        reasons = [f"{slide}: {why}" for slide, why in dealt.missing.items() if dealt.parts[slide] is split]
        named = f"; {len(reasons)} cannot be used, the first is {reasons[0]}" if reasons else ""
        out = f"; the options leave out {left_out(dealt.excluded)}" if dealt.excluded else ""
        msg = f"{self.root} holds no {split} slides under protocol={self.settings.protocol}{named}{out}"
        fix = "mend or replace the files named" if reasons else f"bench data info {self.name}"
        return DataError(msg, fix=fix)

    def _slide(self, case: Case) -> Slide:
        assert case.image is not None
        return Slide(case.id, case.image, case.patient, self.facts[case.id].mpp or self.supposed_mpp)

    @property
    def supposed_mpp(self) -> float:
        """Microns per pixel of a slide that does not state it: the option `mpp`, else the set's usual resolution."""
        return self.settings.mpp or self.nominal_mpp

    @property
    def _supposed(self) -> str:
        return "--set dataset.mpp" if self.settings.mpp else "usual in this dataset; --set dataset.mpp=… gives another"

    def slide(self, name: str) -> Slide:
        """A usable slide by its id."""
        return self._slide(self.cases[name])

    def slides(self, split: Split) -> Sequence[Slide]:
        """The slides of one split that can be used, by id."""
        return self._dealt.slides[split]

    def usable(self) -> Mapping[str, Slide]:
        """Every slide that can be opened, by id."""
        return {name: self.slide(name) for name in self.facts}

    def missing(self, split: Split) -> Mapping[str, str]:
        """What the split should have and has not, or cannot be read."""
        return {slide: why for slide, why in self._dealt.missing.items() if self._dealt.parts[slide] is split}

    def cell(self, slide: Slide) -> int:
        """Side of a cell in level-0 px."""
        return self.settings.cell or power_of_two(CELL_MICRONS, slide.mpp or self.supposed_mpp)

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
        given = self._given(self.settings.classes or "", "--set classes")
        return ClassNames(self.classes, {**dict(usual), **given})

    def _given(self, text: str, where: str) -> dict[str, Meaning]:
        """The option `classes` for the classes of this set. Raises `DataError` for a class that it has not."""
        try:
            return read_classes(text, len(self.classes))
        except ValueError as error:
            named = ", ".join(f"{number} {name}" for number, name in enumerate(self.classes))
            raise DataError(f"{where}: {error} ({named})", fix=f"correct {where}") from None

    def bounds(self, slide: Slide) -> Bounds | None:
        """The scanned area on the canvas, where the file says that it is not all of it."""
        bounds: Bounds | None = getattr(self.facts[slide.id], "bounds", None)
        return bounds

    def reading_notes(self, slide: Slide) -> Sequence[str]:
        """Notes of its header, the resolution where none is stated, and those of its annotations."""
        facts, case = self.facts[slide.id], self.cases[slide.id]
        supposed = () if facts.mpp else (f"no resolution stated: {slide.mpp:g} µm/px supposed ({self._supposed})",)
        header = () if case.mpp else facts.notes
        empty = f"{case.annotation} holds no lesion: the cells of this slide do not count"
        nothing = self._outlines_nothing(slide) if self.annotated(slide) else empty
        lost = (nothing,) if nothing and case.lesion and case.annotation else ()
        return tuple(dict.fromkeys((*header, *supposed, *map(str, self.notes.get(slide.id, ())), *lost)))

    def _outlines_nothing(self, slide: Slide) -> str | None:
        """Said where a lesion is outlined and no cell of tissue that counts lies in it; None elsewhere."""
        case = self.cases[slide.id]
        if not case.lesion or case.annotation is None or not self.annotated(slide):
            return None
        try:
            truth, grid = self.truth(slide), self.evaluation_grid(slide)
            inside = (truth.labels(grid) > 0) & ~truth.ignored(grid)
            if not truth.count() or (inside & self.tissue(slide, grid)).any():
                return None
        except DataError:  # said where the slide is left out
            return None
        where = "on glass" if inside.any() else f"ignored, or between the centres of {self.cell(slide)}-px cells"
        return f"no cell of tissue lies in the outlines of its lesion: they are {where}"

    def roughly_annotated(self, slide: Slide) -> bool:
        """Where coarse annotations lie in files: whether there is one, or nothing to outline."""
        if not self.coarse_files.in_files:
            return self.annotated(slide)
        return self.cases[slide.id].lesion is False or self.coarse_files.lack(slide.id) is None

    def _coarse(self, slide: Slide) -> Annotation:
        options = self.settings
        if self.coarse_files.in_files:
            if self.cases[slide.id].lesion is False:
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
        cell = options.coarse_cell or self.simulated_cell(slide)
        return simulate_coarse(truth, slide.size, options.simulation(slide.size, cell), rng)

    def simulated_cell(self, slide: Slide) -> int:
        """Side of the cells on which a coarse annotation is simulated, in level-0 px, where the options do not say."""
        return power_of_two(self.coarse_microns, slide.mpp or self.supposed_mpp)

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
        """Open everything, compare with the official counts, and name whatever is missing or odd.

        Facts: `slides`, `usable`, `missing`, `excluded`, `patients`, `shared_patients`, and the slides per split.
        """
        report = VerifyReport()
        for note in self.contents.notes:
            report.note(note)
        if self.synthetic:
            report.note("a miniature: the official counts do not apply")
        else:
            self.check_counts(report)
        usable = self._dealt.slides
        check_usable(report, usable, self._dealt.missing, [] if self.synthetic else self._absent())
        if self.excluded:
            report.note(f"the options leave out {left_out(self.excluded)}")
        report.facts.update(slides=len(self.cases), excluded=len(self.excluded))
        note_resolutions(report, self.facts, self.supposed_mpp)
        every = [slide for slides in usable.values() for slide in slides]
        drawn = [slide for slide in every if self.cases[slide.id].annotation is not None]
        bare = [slide for slide in every if self.cases[slide.id].lesion and slide not in drawn]
        check_annotations(report, drawn, len(bare), self._annotation_fault, self.notes)
        check_patients(report, usable)
        return report

    def _absent(self) -> list[str]:
        return [slide for slide in self._dealt.missing if self.cases[slide].image is None]

    def _annotation_fault(self, slide: Slide) -> str | None:
        """Read what is drawn on a slide; in words, what is wrong with it. Raises `DataError`."""
        case = self.cases[slide.id]
        if case.lesion and not self.annotated(slide):
            return f"{case.annotation}: the annotation holds no lesion, but the slide is {self.classes[1]}"
        truth, lesion = self.truth(slide), case.lesion
        if lesion and self.coarse_files.in_files:
            self.coarse(slide)
        if lesion and truth.count() == 0:
            return f"{case.annotation}: the annotation holds no lesion, but the slide is {self.classes[1]}"
        return self._outlines_nothing(slide)

    @abstractmethod
    def check_counts(self, report: VerifyReport) -> None:
        """Compare the number of slides with the official one."""
