"""What a method is given besides slides and labels: device, seeds, geometry, stages, progress and logging."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.effort import EFFORT, EFFORT_OF_SLIDE
from benchmark.seeds import generator, seed_of
from benchmark.stages import Checkpoint, Staged, StageRecord, StageStore

if TYPE_CHECKING:
    from benchmark.learning.encoders.features import FeatureCache
    from benchmark.slides import Grid, Slide
    from benchmark.supervision import Ledger

T = TypeVar("T")


class Geometry(Protocol):
    """The grids of a dataset, which say where labels and predictions live but nothing of what they are."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, the negative class first."""
        ...

    @property
    def positive(self) -> frozenset[int]:
        """The classes that are positive wherever only two are told apart."""
        ...

    def unit_grid(self, slide: Slide) -> Grid:
        """The regions that carry an image-level label."""
        ...

    def patch_grid(self, slide: Slide) -> Grid:
        """The recommended patches."""
        ...

    def evaluation_grid(self, slide: Slide) -> Grid:
        """The cells on which predictions and truth meet."""
        ...

    def tissue(self, slide: Slide, grid: Grid) -> NDArray[np.bool_] | None:
        """Which cells of `grid` hold tissue, from their colour alone; None: all of them."""
        ...


@dataclass(frozen=True, eq=False)
class ClassMap:
    """What is said of a slide's cells. `classes`: rows × cols of `grid`, class indices, -1 where a cell does not count.

    `embeddings`: optional, one per cell that counts, row by row.
    """

    slide: Slide
    grid: Grid
    classes: NDArray[np.int8]
    embeddings: NDArray[np.float32] | None = None


class Appraises(Protocol):
    """Scores class maps against the truth (`benchmark.running.appraise`)."""

    @property
    def slides(self) -> Sequence[Slide]:
        """Test slides, as pixels alone, on which a method may be watched while it learns."""
        ...

    @property
    def digest(self) -> str:
        """Of what is scored against: other slides, or another truth of them, give another."""
        ...

    def __call__(self, maps: Sequence[ClassMap], *, share: float | None, only: int | None) -> Mapping[str, float]:
        """Metrics by name."""
        ...


class Reporter(Protocol):
    """Where progress and numbers go: a console and MLflow in a run, nowhere in a test."""

    def log(self, name: str, value: float, step: int | None) -> None:
        """Take one number."""
        ...

    def track(self, items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
        """Pass the items on and show how far it is."""
        ...

    def say(self, text: str) -> None:
        """Show one line."""
        ...


class SilentReporter:
    """Keeps what was logged in `history` and shows nothing."""

    def __init__(self) -> None:
        self.history: list[tuple[str, float, int | None]] = []

    def log(self, name: str, value: float, step: int | None) -> None:
        """Remember one number."""
        self.history.append((name, value, step))

    def track(self, items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
        """Pass the items on."""
        yield from items

    def say(self, text: str) -> None:
        """Say nothing."""


class Grids:
    """A dataset's `Geometry` and nothing else of it, so that a method finds no truth there."""

    def __init__(self, geometry: Geometry) -> None:
        self.__geometry = geometry

    @property
    def classes(self) -> tuple[str, ...]:
        """See `Geometry`."""
        return self.__geometry.classes

    @property
    def positive(self) -> frozenset[int]:
        """See `Geometry`."""
        return self.__geometry.positive

    def unit_grid(self, slide: Slide) -> Grid:
        """See `Geometry`."""
        return self.__geometry.unit_grid(slide)

    def patch_grid(self, slide: Slide) -> Grid:
        """See `Geometry`."""
        return self.__geometry.patch_grid(slide)

    def evaluation_grid(self, slide: Slide) -> Grid:
        """See `Geometry`."""
        return self.__geometry.evaluation_grid(slide)

    def tissue(self, slide: Slide, grid: Grid) -> NDArray[np.bool_] | None:
        """See `Geometry`."""
        return self.__geometry.tissue(slide, grid)


class Context:
    """One run's surroundings, handed to `Method.fit` and `Method.predict`."""

    def __init__(
        self,
        *,
        geometry: Geometry,
        folder: Path,
        ledger: Ledger,
        seed: int = 0,
        device: str = "cpu",
        data_digest: str = "",
        reporter: Reporter | None = None,
        examiner: Callable[[str, Slide, NDArray[np.int8]], None] | None = None,
        features: Path | None = None,
        appraiser: Appraises | None = None,
    ) -> None:
        self._features = features or folder / "features"
        self.geometry: Geometry = Grids(geometry)
        self.device = device
        self.seed = seed
        self.reporter: Reporter = reporter or SilentReporter()
        self._examiner = examiner
        self._appraiser = appraiser
        self._stages = StageStore(folder, ledger=ledger, data_digest=data_digest, seed=seed)

    def bind(self, method: Staged) -> Context:
        """Say whose stages these are; the harness does this before `fit`."""
        self._stages.bind(method)
        return self

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, the negative class first."""
        return self.geometry.classes

    @property
    def positive(self) -> frozenset[int]:
        """The classes whose probability together is the score of a cell."""
        return self.geometry.positive

    def seed_for(self, *axes: str | int) -> int:
        """A seed that depends on the run's seed and the axes named here."""
        return seed_of("run", self.seed, *axes)

    def generator(self, *axes: str | int) -> np.random.Generator:
        """A NumPy generator seeded by `seed_for`."""
        return generator("run", self.seed, *axes)

    def log(self, name: str, value: float, step: int | None = None) -> None:
        """Log a number; kept with the running stage, so a reused stage shows its curves again."""
        self._stages.remember_log(name, float(value), step)
        self.reporter.log(name, float(value), step)

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Pass the items on and show progress with the time left."""
        return self.reporter.track(items, description, total)

    def examine(self, name: str, maps: Iterable[tuple[Slide, NDArray[np.int8]]]) -> None:
        """Let the harness score class maps of training slides (one class per level-0 pixel).

        The result is logged under `name` and never comes back: truth stays out of reach.
        """
        if self._examiner is None:
            return
        for slide, classes in maps:
            self._examiner(name, slide, classes)

    @property
    def watched(self) -> Sequence[Slide]:
        """Test slides on which `appraise` may watch a method; none in a trial. Nothing is to be learnt from them."""
        return () if self._appraiser is None else self._appraiser.slides

    @property
    def watch(self) -> str:
        """Whether and by what `appraise` scores, in a word: part of the name of a stage that keeps such curves."""
        return "unwatched" if self._appraiser is None else self._appraiser.digest

    def appraise(
        self,
        part: str,
        maps: Sequence[ClassMap],
        reviews: int,
        *,
        slide: Slide | None = None,
        share: float | None = None,
        only: int | None = None,
    ) -> None:
        """Let the harness score class maps after so many reviews and log `effort/PART/METRIC` with that step.

        Nothing comes back: truth stays out of reach. `slide`: where each slide is annotated by itself, whose curve
        this is; the harness takes the mean over slides. `share`: the expert's rule, see `cell_classes`. `only`: the
        class that is told from all others.
        """
        if self._appraiser is None:
            return
        of = EFFORT if slide is None else f"{EFFORT_OF_SLIDE}/{slide.id}"
        for name, value in self._appraiser(maps, share=share, only=only).items():
            self.log(f"{of}/{part}/{name}", value, reviews)

    @cached_property
    def features(self) -> FeatureCache:
        """What frozen encoders made of patches: computed once, shared by methods, seeds, trials and processes."""
        from benchmark.learning.encoders.features import FeatureCache

        return FeatureCache(self._features)

    @property
    def records(self) -> list[StageRecord]:
        """What each stage cost and consumed, in order."""
        return self._stages.records

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the running stage keeps its epochs; survives a kill."""
        return self._stages.checkpoint

    def stage(
        self,
        name: str,
        function: Callable[[], T],
        *,
        uses: tuple[str, ...] = (),
        after: tuple[str, ...] = (),
        code: type | None = None,
    ) -> T:
        """Run `function` once and keep what it returns; see `benchmark.stages`.

        `code`: the class whose code decides the result, by default the method's own. Methods of a family that share a
        stage name the base class that runs it, so that one finds the stage of another done.
        """
        return self._stages.run(name, function, uses=uses, after=after, reporter=self.reporter, code=code)
