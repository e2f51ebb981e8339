"""The Dataset contract: slides with their labels, read from the official on-disk layout."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from benchmark.errors import DataError

if TYPE_CHECKING:
    from benchmark.annotations import Annotation
    from benchmark.slides import Grid, Slide

SYNTHETIC_MARK = "synthetic.json"
"""Written into the root of every miniature, so that it is never taken for the real thing."""


class Split(StrEnum):
    """The three parts of a dataset. Validation is cut from train, by patient."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Options(BaseModel):
    """Base of every dataset's options: unknown names are refused, values cannot change later."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


@dataclass(frozen=True)
class DatasetCard:
    """Description of a dataset and how to obtain it, as `bench data info` shows it."""

    title: str
    homepage: str
    licence: str
    citation: str
    size: str
    obtain: str
    layout: str


@dataclass(frozen=True)
class Finding:
    """One line of a verification: `ok` is False for a fault, None for a fact to know."""

    text: str
    ok: bool | None = True


@dataclass
class VerifyReport:
    """The findings of `Dataset.verify`."""

    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True when no finding is a fault."""
        return all(finding.ok is not False for finding in self.findings)

    def check(self, ok: bool, text: str) -> None:
        """Add a finding that is right or wrong."""
        self.findings.append(Finding(text, ok))

    def note(self, text: str) -> None:
        """Add a fact to know, neither right nor wrong."""
        self.findings.append(Finding(text, None))


class TissueSource(Protocol):
    """Where the pixels of a miniature come from: a painter, or real tissue."""

    def paint(
        self, width: int, height: int, *, positive: bool, seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """An RGB image (height × width × 3) and its object numbers (height × width, 0 = background).

        `positive` asks for malignant tissue, otherwise benign.
        """
        ...

    def part(self, split: Split, seed: int) -> TissueSource:
        """The tissue that one split may use. Real tissue gives every split patients of its own, by `seed`."""
        ...

    @property
    def mpp(self) -> float:
        """Microns per pixel of what `paint` returns."""
        ...


class Dataset(ABC):
    """Slides with their labels. Index 0 of `classes` is the negative class."""

    name: ClassVar[str]
    card: ClassVar[DatasetCard]
    Options: ClassVar[type[Options]]
    classes: tuple[str, ...]

    def __init__(self, root: Path, options: BaseModel) -> None:
        """Index the folder without opening a slide. Raises `DataError` when `root` is not this dataset."""
        self.root = root
        self.options = options

    @abstractmethod
    def slides(self, split: Split) -> Sequence[Slide]:
        """The slides of one split, in a fixed order. Raises `DataError` when the data cannot be used."""

    @abstractmethod
    def truth(self, slide: Slide) -> Annotation:
        """The expert's fine annotation. Methods never see this: they see `Labels`."""

    @abstractmethod
    def coarse(self, slide: Slide) -> Annotation:
        """The coarse annotation: published, drawn, or simulated from the truth."""

    @abstractmethod
    def unit_grid(self, slide: Slide) -> Grid:
        """The regions that carry an image-level label."""

    @abstractmethod
    def unit_labels(self, slide: Slide) -> NDArray[np.int8]:
        """Rows × cols of the unit grid: 1 positive, 0 negative."""

    @abstractmethod
    def patch_grid(self, slide: Slide) -> Grid:
        """The recommended patches (a method's parameters may override side and stride)."""

    @abstractmethod
    def evaluation_grid(self, slide: Slide) -> Grid:
        """The cells on which predictions and truth meet."""

    @abstractmethod
    def files(self) -> Sequence[Path]:
        """Every file the dataset reads, for the content digest."""

    @abstractmethod
    def verify(self) -> VerifyReport:
        """Compare with the official counts; find unreadable files and patients in both train and test."""

    @classmethod
    @abstractmethod
    def synthesize(
        cls, root: Path, *, slides: int, seed: int, tissue: TissueSource | None = None, side: int | None = None
    ) -> None:
        """Write a miniature in the official formats, and the mark `SYNTHETIC_MARK`, into `root`.

        `tissue`: where the pixels come from, by default a painter. `side`: longer side of a slide in px, by
        default small enough for tests; a dataset of tiles, whose sizes are given, refuses it with `DataError`.
        Call `tell_progress` after each slide.
        """

    @classmethod
    def tissue_source(cls, root: Path) -> TissueSource:
        """This dataset's images as tissue for composed slides. Raises `DataError` where it offers none."""
        raise DataError(f"{cls.name} offers no tissue for composed slides", fix="bench data synth --help")

    @classmethod
    def unrooted(cls, options: BaseModel) -> Self:
        """This dataset without data: its grids, units and tissue, for slides that are not its own.

        Raises `DataError` where these are known of its own slides alone.
        """
        raise DataError(f"{cls.name} lays its grids over its own slides alone", fix="bench list datasets")

    def usable(self) -> Mapping[str, Slide]:
        """Every slide that can be used, of whichever split, by id; needs no split that anything can be learnt from."""
        return {slide.id: slide for split in Split for slide in self.slides(split)}

    def missing(self, split: Split) -> Mapping[str, str]:
        """Slides that the split should have and that cannot be used (id → why); they are not among `slides`."""
        return {}

    def reading_notes(self, slide: Slide) -> Sequence[str]:
        """What was passed over, mended or supposed while this slide and its annotations were read, in words.

        Complete once both were read; a run keeps the notes of all its slides.
        """
        return ()

    def tissue(self, slide: Slide, grid: Grid) -> NDArray[np.bool_] | None:
        """Which cells of `grid` hold tissue and count in the metrics; None: all of them."""
        return None

    @property
    def positive(self) -> frozenset[int]:
        """The classes that are positive wherever only two are told apart; by default all but the first."""
        return frozenset(range(1, len(self.classes)))

    @property
    def objects(self) -> bool:
        """True when truth tells single objects (glands) apart, so that object-level metrics apply."""
        return False

    def annotated(self, slide: Slide) -> bool:
        """False where a slide may hold what nobody outlined: `truth` raises `DataError`, its cells do not count."""
        return True

    def labelled(self, slide: Slide) -> bool:
        """False where nobody said whether a slide's units are positive: it has outputs and no image-level figure."""
        return True

    def roughly_annotated(self, slide: Slide) -> bool:
        """Whether there is a coarse annotation of a slide; by default where there is a truth to make it of."""
        return self.annotated(slide)

    def uncounted(self, slide: Slide) -> str | None:
        """Why no figure counts the cells of a slide whose truth has known gaps; None: they count. Its units do."""
        return None

    @property
    def excluded(self) -> Mapping[str, str]:
        """Slides that the options leave out (id → why); they are neither among `slides` nor missing."""
        return {}

    def subgroups(self, slide: Slide) -> Mapping[str, str]:
        """Column → group of a slide: what is known of it besides its labels (grade, centre, scanner …).

        Test figures are also reported per group. A column that is not known of this slide is left out, or empty. It
        decides no number, so that it counts in no digest of code; methods are never told.
        """
        return {}

    def unit_top(self, slide: Slide) -> int:
        """K of the top-K mean that makes unit scores of a score map (K = 16 as in hybrid supervision)."""
        return 16

    def subsets(self) -> Mapping[str, Sequence[Slide]]:
        """Parts of the test split that the literature reports apart (name → slides)."""
        return {}

    @property
    def synthetic(self) -> bool:
        """True when the root was written by `synthesize`."""
        return (self.root / SYNTHETIC_MARK).is_file()


_watcher: ContextVar[Callable[[int, int], None] | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(tell: Callable[[int, int], None]) -> Iterator[None]:
    """Within the block, `tell` hears of every slide that `Dataset.synthesize` has written: (done, of how many)."""
    token = _watcher.set(tell)
    try:
        yield
    finally:
        _watcher.reset(token)


def tell_progress(done: int, total: int) -> None:
    """Tell whoever watches (see `watched`) that so many slides of a miniature are written."""
    if tell := _watcher.get():
        tell(done, total)


def write_synthetic_mark(root: Path, dataset: str, **facts: Any) -> None:
    """Leave the mark that tells a miniature from the real data."""
    (root / SYNTHETIC_MARK).write_text(json.dumps({"dataset": dataset, **facts}, indent=1) + "\n")
