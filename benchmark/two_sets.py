"""A dataset whose train and validation slides are of one set, and whose test slides are of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.carried import CarriedAnnotation, rescaled_grid
from benchmark.class_map import ClassMap, class_map
from benchmark.dataset import Dataset, Split, VerifyReport
from benchmark.errors import ConfigError, DataError
from benchmark.slides import Grid, RescaledSlide, Slide
from benchmark.slides.magnification import matched

if TYPE_CHECKING:
    from benchmark.annotations import Annotation

AS_IS = "as-is"
"""Value of `--scale`: test slides are read at their own resolution, whatever the model learnt at."""


@dataclass(frozen=True)
class _Carried:
    """A test slide: as the method reads it, as its own dataset knows it, and what was done to it."""

    slide: Slide
    original: Slide
    notes: tuple[str, ...]

    @property
    def times(self) -> float:
        return self.slide.times if isinstance(self.slide, RescaledSlide) else 1.0


class Elsewhere(Dataset):
    """What a method learns from is `trained`, what it is tested on is the test part of `tested`.

    Test slides are read at the resolution of the train slides, in patches as those of `trained`. Their cells, units,
    tissue and labels are those of `tested`, in the classes of `trained`. `cohorts`: both datasets.
    """

    def __init__(self, trained: Dataset, tested: Dataset, classes: ClassMap, carried: Sequence[_Carried]) -> None:
        super().__init__(trained.root, trained.options)
        self.classes = trained.classes
        self.cohorts = (trained, tested)
        self.notes = classes.notes
        self._trained, self._tested, self._map = trained, tested, classes
        self._carried = {_key(each.slide): each for each in carried}
        self._layout = type(trained).unrooted(trained.options)
        self._layout.classes = trained.classes

    def slides(self, split: Split) -> Sequence[Slide]:
        """Test slides of the one, all others of the other."""
        if split is not Split.TEST:
            return self._trained.slides(split)
        return [carried.slide for carried in self._carried.values()]

    def truth(self, slide: Slide) -> Annotation:
        """See `Dataset`."""
        carried = self._of(slide)
        return (
            self._trained.truth(slide) if carried is None else self._in(self._tested.truth(carried.original), carried)
        )

    def coarse(self, slide: Slide) -> Annotation:
        """See `Dataset`."""
        carried = self._of(slide)
        if carried is None:
            return self._trained.coarse(slide)
        return self._in(self._tested.coarse(carried.original), carried)

    def unit_grid(self, slide: Slide) -> Grid:
        """The units of the set that the slide is of."""
        carried = self._of(slide)
        if carried is None:
            return self._trained.unit_grid(slide)
        grid = self._tested.unit_grid(carried.original)
        if carried.times == 1:
            return grid
        return Grid.whole(slide.size) if grid.shape == (1, 1) else rescaled_grid(grid, 1 / carried.times)

    def unit_labels(self, slide: Slide) -> NDArray[np.int8]:
        """See `Dataset`; positive classes of the one are positive in the other."""
        dataset, original = self._home(slide)
        return dataset.unit_labels(original)

    def patch_grid(self, slide: Slide) -> Grid:
        """Patches as the method learnt from them."""
        return (self._trained if self._of(slide) is None else self._layout).patch_grid(slide)

    def evaluation_grid(self, slide: Slide) -> Grid:
        """The cells of the set that the slide is of; where they are smaller than a pixel, those of the train set."""
        carried = self._of(slide)
        if carried is None:
            return self._trained.evaluation_grid(slide)
        cells = self._cells(carried)
        return self._layout.evaluation_grid(slide) if cells is None else cells[1]

    def tissue(self, slide: Slide, grid: Grid) -> NDArray[np.bool_] | None:
        """By the rule of the set that the slide is of."""
        carried = self._of(slide)
        if carried is None:
            return self._trained.tissue(slide, grid)
        return self._tested.tissue(carried.original, self._theirs(carried, grid))

    def files(self) -> Sequence[Path]:
        """Those of the train set; the digest of a run is that of both, see `running/job.py`."""
        return self._trained.files()

    def verify(self) -> VerifyReport:
        """Of the train set; the other has a command of its own."""
        return self._trained.verify()

    @classmethod
    def synthesize(cls, root: Path, **settings: object) -> None:
        """Never: it has no files of its own."""
        raise DataError("two datasets together have no miniature of their own", fix="bench data synth NAME --out DIR")

    def missing(self, split: Split) -> Mapping[str, str]:
        """See `Dataset`."""
        return (self._tested if split is Split.TEST else self._trained).missing(split)

    def reading_notes(self, slide: Slide) -> Sequence[str]:
        """Those of its own set, and at which resolution it was read."""
        carried = self._of(slide)
        if carried is None:
            return self._trained.reading_notes(slide)
        return (*self._tested.reading_notes(carried.original), *carried.notes)

    @property
    def told(self) -> Mapping[str, str]:
        """What a reader of the figures has to know, in words."""
        rescaled = [carried for carried in self._carried.values() if carried.times != 1]
        first = f"; {rescaled[0].notes[0]}" if rescaled else ""
        return {
            "trained on": f"{self._trained.name} ({self._trained.root})",
            "tested on": f"{self._tested.name} ({self._tested.root})",
            **({"classes": "; ".join(self.notes)} if self.notes else {}),
            "magnification": f"{len(rescaled)} of {len(self._carried)} test slides rescaled{first}",
        }

    @property
    def positive(self) -> frozenset[int]:
        """Those of the train set."""
        return self._trained.positive

    @property
    def objects(self) -> bool:
        """Where both tell objects apart, on the same pixels."""
        return self._trained.objects and self._tested.objects

    def annotated(self, slide: Slide) -> bool:
        """See `Dataset`."""
        dataset, original = self._home(slide)
        return dataset.annotated(original)

    def labelled(self, slide: Slide) -> bool:
        """See `Dataset`."""
        dataset, original = self._home(slide)
        return dataset.labelled(original)

    def roughly_annotated(self, slide: Slide) -> bool:
        """See `Dataset`."""
        dataset, original = self._home(slide)
        return dataset.roughly_annotated(original)

    def uncounted(self, slide: Slide) -> str | None:
        """See `Dataset`."""
        dataset, original = self._home(slide)
        return dataset.uncounted(original)

    def subgroups(self, slide: Slide) -> Mapping[str, str]:
        """See `Dataset`."""
        dataset, original = self._home(slide)
        return dataset.subgroups(original)

    @property
    def excluded(self) -> Mapping[str, str]:
        """Of both; names that both have are those of the test set."""
        return {**self._trained.excluded, **self._tested.excluded}

    def unit_top(self, slide: Slide) -> int:
        """See `Dataset`."""
        dataset, original = self._home(slide)
        return dataset.unit_top(original)

    def subsets(self) -> Mapping[str, Sequence[Slide]]:
        """The parts of the test split, as its own set has them."""
        known = {_key(carried.original): carried.slide for carried in self._carried.values()}
        return {name: [known[_key(slide)] for slide in part] for name, part in self._tested.subsets().items()}

    @property
    def synthetic(self) -> bool:
        """When one of the two is."""
        return self._trained.synthetic or self._tested.synthetic

    def _of(self, slide: Slide) -> _Carried | None:
        return self._carried.get(_key(slide))

    def _home(self, slide: Slide) -> tuple[Dataset, Slide]:
        carried = self._of(slide)
        return (self._trained, slide) if carried is None else (self._tested, carried.original)

    def _in(self, annotation: Annotation, carried: _Carried) -> Annotation:
        return CarriedAnnotation(annotation, self._map.table, carried.times, partial(self._theirs, carried))

    def _theirs(self, carried: _Carried, grid: Grid) -> Grid:
        """A grid over a test slide in the pixels of its file; of its cells, exactly those of its own dataset."""
        cells = self._cells(carried)
        return cells[0] if cells is not None and cells[1].digest == grid.digest else rescaled_grid(grid, carried.times)

    def _cells(self, carried: _Carried) -> tuple[Grid, Grid] | None:
        """The cells of a test slide in the pixels of its file and in larger ones; None where they get too small."""
        own = self._tested.evaluation_grid(carried.original)
        if carried.times != 1 and min(own.width, own.height) < 2 * carried.times:
            return None
        return own, rescaled_grid(own, 1 / carried.times)


def elsewhere(trained: Dataset, tested: Dataset, classes: Mapping[str, str], *, as_is: bool = False) -> Elsewhere:
    """Two datasets as one, see `Elsewhere`.

    Args:
        trained: gives train and validation slides, classes and grids.
        tested: gives the test slides.
        classes: name of a class of `tested` → of `trained`, where the names differ.
        as_is: read test slides at their own resolution.

    Raises:
        ConfigError: classes that do not map.
        DataError: a magnification that cannot be matched; a train set whose grids fit its own slides alone.
    """
    mapped = class_map(trained, tested, classes)
    learnt = [None if supposed(trained, slide) else slide.mpp for slide in trained.slides(Split.TRAIN)]
    known = [mpp for mpp in learnt if mpp]
    if not as_is and learnt and len(known) < len(learnt):
        msg = f"train slides of {trained.name} do not state their microns per pixel: no magnification can be matched"
        option = f"--train {trained.name}:mpp=0.25, or --scale {AS_IS}"
        raise DataError(f"{msg} ({option})", fix=option)
    scale = None if as_is or not known else (min(known), max(known))
    carried = [_at_scale(tested, slide, scale) for slide in tested.slides(Split.TEST)]
    kind = type(type(trained).__name__, (Elsewhere,), _identity(trained))
    made: Elsewhere = kind(trained, tested, mapped, carried)
    return made


def _at_scale(tested: Dataset, slide: Slide, known: tuple[float, float] | None) -> _Carried:
    """A test slide, read at one of the `known` resolutions unless these are None. Raises `DataError`."""
    if known is None:
        return _Carried(slide, slide, ())
    unknown = f"--test {tested.name}:mpp=0.25, or --scale {AS_IS}"
    coarser = f"leave the slide out, train on coarser slides, or --scale {AS_IS}"
    try:
        if supposed(tested, slide):
            msg = f"slide {slide.id!r} of {tested.name} does not state its microns per pixel"
            raise DataError(f"{msg}, and the model learnt at {known[0]:.3g}", fix=unknown)
        read, notes = matched(slide, known, unknown=unknown, coarser=coarser)
        return _Carried(read, slide, notes)
    except DataError as error:  # a table of runs shows the message alone
        raise DataError(f"{error.what} ({error.fix})", fix=error.fix) from None


def supposed(dataset: Dataset, slide: Slide) -> bool:
    """Whether a whole-slide set took its usual resolution for a slide that states none, and no option gave one."""
    facts = getattr(dataset, "facts", {}).get(slide.id)
    return facts is not None and facts.mpp is None and getattr(dataset.options, "mpp", None) is None


def require_another(trained: Dataset, tested: Dataset, contents: tuple[str, str]) -> None:
    """Raise `ConfigError` where both are the same data: its own test part is what a plain run tests on."""
    if contents[0] != contents[1] and trained.root.resolve() != tested.root.resolve():
        return
    name = trained.name
    msg = f"--train {name} and --test {tested.name} are the same data ({trained.root})"
    raise ConfigError(msg, fix=f"its own test part: bench run --dataset {name}; a centre of it: {name}:centre=NAME")


def _identity(dataset: Dataset) -> dict[str, object]:
    """The names by which the harness knows the train set."""
    return {"name": dataset.name, "card": dataset.card, "Options": type(dataset).Options, "__module__": __name__}


def _key(slide: Slide) -> tuple[str, Path]:
    return slide.id, slide.path
