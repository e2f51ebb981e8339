"""Sets of slides that carry a label each, and an outline only where somebody drew one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.annotations import Annotation, read_annotation
from benchmark.dataset import Split, VerifyReport
from benchmark.errors import DataError
from benchmark.slides import Grid, Slide

from .cases import Case
from .coarse_files import nothing_drawn
from .wsi_dataset import WsiDataset
from .wsi_options import WsiOptions


class LabelledOptions(WsiOptions):
    """The options of such a set; what belongs to the slides of the LC-MIL paper has one value only."""

    protocol: Literal["official"] = Field("official", description="the set's own split; there is no other")
    inclusion: Literal["all"] = Field("all", description="every slide that can be used; there is no other rule")


class LabelledSlides(WsiDataset):
    """The unit is the whole slide, its label comes from a table. Of a positive slide an outline may be lacking."""

    Options = LabelledOptions
    listed: ClassVar[tuple[str, ...]] = ()

    def check_splits(self, slides: Mapping[Split, Sequence[Slide]]) -> None:
        """Raises `DataError` when the train slides are all of one class."""
        train = [bool(self.cases[slide.id].lesion) for slide in slides[Split.TRAIN]]
        if len(set(train)) == 1:
            only, other = self.classes[train[0]], self.classes[not train[0]]
            msg = f"{self.root}: all {len(train)} {Split.TRAIN} slides that can be used are {only}, none is {other}"
            lost = [
                f"{slide}: {why}" for slide, why in self._probed.missing.items() if self.parts[slide] is Split.TRAIN
            ]
            if lost:
                msg += f"; {len(lost)} cannot be used, the first is {lost[0]}"
            elif slides[Split.VALIDATION]:
                msg += f"; {len(slides[Split.VALIDATION])} are set aside for validation"
            raise DataError(msg, fix="mend or replace the files named" if lost else self.balance)

    balance: ClassVar[str] = "--set validation=0"
    """What to do about train slides of one class."""

    def unit_grid(self, slide: Slide) -> Grid:
        """The whole slide."""
        return Grid.whole(slide.size)

    def unit_labels(self, slide: Slide) -> NDArray[np.int8]:
        """1 for a slide of the positive class."""
        return np.array([[bool(self.cases[slide.id].lesion)]], np.int8)

    def labelled(self, slide: Slide) -> bool:
        """False for a slide of which no table says anything."""
        return self.cases[slide.id].lesion is not None

    def annotated(self, slide: Slide) -> bool:
        """True for a slide with an outline, and for a negative one: there is nothing to outline on it.

        A positive slide whose annotation holds no lesion counts as one that nobody has drawn.
        """
        case = self.cases[slide.id]
        if not case.lesion or case.annotation is None:
            return case.lesion is False
        if slide.id not in self._empty_ones:
            try:
                self._empty_ones[slide.id] = not self._drawing(slide).count()
            except DataError:  # its truth cannot be read: `truth` says why
                self._empty_ones[slide.id] = False
        return not self._empty_ones[slide.id]

    @cached_property
    def _empty_ones(self) -> dict[str, bool]:
        """Positive slides that have an annotation → whether it holds no lesion, as far as was asked."""
        return {}

    def _drawing(self, slide: Slide) -> Annotation:
        case = self.cases[slide.id]
        return self._checked(self.read_truth(case), slide, str(case.annotation))

    def subsets(self) -> Mapping[str, Sequence[Slide]]:
        """The test slides whose truth is known, where it is known of some and not of all."""
        test = self.slides(Split.TEST)
        known = [slide for slide in test if self.annotated(slide)]
        return {"annotated": known} if 0 < len(known) < len(test) else {}

    def verify(self) -> VerifyReport:
        """See `WsiDataset`; also the labels of each split, and what a split of one label leaves out."""
        report = super().verify()
        lacks = {
            Split.VALIDATION: "no threshold is chosen on it, and no epoch by it",
            Split.TEST: "the AUC and the specificity at 100 % sensitivity are undefined",
        }
        for split, lack in lacks.items():
            labels = [bool(self.cases[slide.id].lesion) for slide in self.slides(split) if self.labelled(slide)]
            if len(set(labels)) == 1:
                report.note(f"all {len(labels)} {split} slides are {self.classes[labels[0]]}: {lack}")
        return report

    def read_truth(self, case: Case) -> Annotation:
        """The outline in any format that is known."""
        assert case.annotation is not None
        return read_annotation(
            case.annotation,
            self.names(case),
            size=self.facts[case.id].size,
            bounds=self.bounds(self.slide(case.id)),
            origin=self.settings.origin,
        )

    def not_annotated(self, slide: Slide) -> DataError:
        """Why the truth of a slide is not known, as an error."""
        return DataError(f"slide {slide.id!r} ({slide.path}) has no annotation")

    def _expert(self, slide: Slide) -> Annotation:
        case = self.cases[slide.id]
        if not self.annotated(slide):
            raise self.not_annotated(slide)
        if case.annotation is None:
            return nothing_drawn()
        drawn = self._drawing(slide)
        if not case.lesion and drawn.count():
            msg = (
                f"slide {slide.id!r} is {self.classes[0]}, but {case.annotation} outlines {drawn.count()} regions on it"
            )
            raise DataError(msg, fix="correct the label of the slide, or take its annotation away")
        return drawn
