"""Miniatures of whole-slide sets: composed slides in the set's own formats."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations import Polygons
from benchmark.dataset import Split, TissueSource, tell_progress, write_synthetic_mark
from benchmark.errors import DataError
from benchmark.seeds import seed_of

from ..fresh_folder import fresh_folder
from ..latest import Latest
from ..side_by_side import Hands, side_by_side

if TYPE_CHECKING:
    from ..synthetic.composed.pieces import Pieces

SIDE = 1536
"""Side of a slide in px unless another is asked for: 12 cells, small enough for tests."""

PAINTED = 20
"""Painted slides held in memory; one has 7 MB."""

SECONDS = 0.17
"""What composing and writing a million pixels takes on one core."""

FEWEST, MOST = 4, 120
"""Fewer slides cannot be split into train, validation and test; for more of them the papers' names do not suffice."""


@dataclass(frozen=True)
class Planned:
    """One slide to be composed: where its tissue may come from, and whether it holds lesions."""

    name: str
    split: Split
    lesion: bool


class Picture(Protocol):
    """A slide before it is written, as `compose_slide` makes it. `patients`: whose tissue it shows."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px."""
        ...

    @property
    def mpp(self) -> float:
        """Microns per pixel."""
        ...

    @property
    def lesion(self) -> Polygons:
        """The expert's truth."""
        ...

    @property
    def patients(self) -> tuple[str, ...]:
        """Whose tissue it shows."""
        ...

    def bands(self) -> Iterator[NDArray[np.uint8]]:
        """The pixels, strip by strip from the top."""
        ...


@dataclass(frozen=True, eq=False)
class Drawn:
    """A painted slide held in memory."""

    size: tuple[int, int]
    mpp: float
    lesion: Polygons
    patients: tuple[str, ...]
    strips: tuple[NDArray[np.uint8], ...]

    def bands(self) -> Iterator[NDArray[np.uint8]]:
        """See `Picture`."""
        return iter(self.strips)


Writer = Callable[[Path, Planned, Picture], None]
"""Writes the files of one slide below a folder."""

Finish = Callable[[Path, Mapping[str, tuple[str, ...]]], None]
"""Writes what belongs to no single slide. Gets the folder, and slide → patients whose tissue it shows."""


def shares(slides: int) -> dict[Split, int]:
    """How many of `slides` go to each split: a third tests, a sixth of the rest validates, at least one each."""
    if not FEWEST <= slides <= MOST:
        least = f"at least {FEWEST}" if slides < FEWEST else f"at most {MOST}"
        raise DataError(
            f"a miniature has {least} slides, got {slides}", fix=f"--slides {max(FEWEST, min(slides, MOST))}"
        )
    test = max(1 + (slides > FEWEST), slides // 3)
    validation = max(1, (slides - test) // 6)
    return {Split.TRAIN: slides - test - validation, Split.VALIDATION: validation, Split.TEST: test}


def paip_plan(slides: int, pattern: str, listed: Sequence[str]) -> list[Planned]:
    """Slides that test are the paper's, all others are not, so that protocol=lcmil keeps patients apart."""
    tests = iter(listed)
    others = (name for number in count(1) if (name := pattern.format(number)) not in listed)
    return [
        Planned(next(tests if split is Split.TEST else others), split, True)
        for split, number in shares(slides).items()
        for _ in range(number)
    ]


def write_miniature(
    root: Path,
    dataset: str,
    plan: Sequence[Planned],
    write: Writer,
    finish: Finish | None = None,
    *,
    ours: re.Pattern[str],
    seed: int,
    tissue: TissueSource | None,
    side: int | None,
    processes: int | None = None,
) -> None:
    """Compose every planned slide into `root`, all or nothing, and leave the mark with the patients.

    `ours`: the relative paths (with `/`) that a miniature may hold; a folder with anything else in it is refused with
    `DataError`. Slides that share a tissue patient, by however many links, count as one patient, so that no split by
    patient parts them. Large miniatures are written by so many `processes` (null: one per core); their number changes
    no byte. Progress goes to `benchmark.dataset.tell_progress`.
    """
    from ..synthetic.painter import VERSION

    new = fresh_folder(root, lambda name: _all_ours(root / name, root, ours))
    cost = SECONDS * len(plan) * (side or SIDE) ** 2 / 1e6
    with new as folder, side_by_side(cost, processes) as hands:
        pool = _pool(hands) if tissue is None and side is None else None
        jobs = [
            Job(folder, slide, write, seed, seed_of("miniature", seed, number), tissue, side, pool).do
            for number, slide in enumerate(plan)
        ]
        patients: dict[str, tuple[str, ...]] = {slide.name: () for slide in plan}
        for done, (name, own) in enumerate(hands.do(jobs), start=1):
            patients[name] = own
            tell_progress(done, len(plan))
        if finish is not None:
            finish(folder, patients)
        made_of = f"painter {VERSION}" if tissue is None else type(tissue).__name__
        write_synthetic_mark(folder, dataset, slides=len(plan), seed=seed, tissue=made_of, patients=linked(patients))


@dataclass(frozen=True)
class Job:
    """One slide to be composed and written. `drawn`: the seed of its layout; `seed`: that of the miniature.

    `pool`: pictures ready for painted slides of the default size.
    """

    folder: Path
    slide: Planned
    write: Writer
    seed: int
    drawn: int
    tissue: TissueSource | None
    side: int | None
    pool: Pieces | None = None

    def do(self) -> tuple[str, tuple[str, ...]]:
        """Write the slide. Returns its name and the patients whose tissue it shows."""
        picture = self._compose()
        self.write(self.folder, self.slide, picture)
        return self.slide.name, picture.patients

    def _compose(self) -> Picture:
        from ..synthetic.composed.compose import compose_slide
        from ..synthetic.composed.pieces import Pieces
        from ..synthetic.painter import Painter

        if self.pool is not None:
            return _painted(self.drawn, self.slide.lesion, self.pool)
        tissue = self.tissue or Painter()
        source = _SOURCES.get((self.folder, self.slide.split), lambda: tissue.part(self.slide.split, self.seed))
        pieces = _PIECES.get(self.folder, Pieces)
        side, lesions = self.side or SIDE, self.slide.lesion
        return compose_slide(source, side=side, seed=self.drawn, lesions=lesions, pieces=pieces)


def linked(patients: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Slide → one name for all slides that share patients, directly or through others; its own if it has none."""
    groups: list[tuple[set[str], list[str]]] = []
    for slide, own in patients.items():
        members, slides = set(own) or {slide}, [slide]
        touching = [group for group in groups if group[0] & members]
        for group in touching:
            groups.remove(group)
            members |= group[0]
            slides = group[1] + slides
        groups.append((members, slides))
    return {slide: "+".join(sorted(members)) for members, slides in groups for slide in slides}


_SOURCES: Latest[TissueSource] = Latest(len(Split))
_PIECES: Latest[Pieces] = Latest(1)
"""What the jobs of one miniature share within a process; its folder is the key."""


_POOL: Latest[Pieces] = Latest(1)
_PAINTED: Latest[Drawn] = Latest(PAINTED)
"""Painted pictures and slides of the default size, which the sets share, for making one takes half a second."""


def _pool(hands: Hands) -> Pieces:
    """The pictures that painted slides of the default size share: several processes paint them before any slide.

    One alone paints each when it is needed, for a few slides do not show them all.
    """
    from ..synthetic.composed.album import pictures_of
    from ..synthetic.composed.pieces import Pieces, made
    from ..synthetic.painter import Painter

    pool = _POOL.get("pool", Pieces)
    if hands.number > 1:
        pictures = pictures_of(Painter(), side=SIDE, seed=0, lesions=True)
        for name, piece in hands.do([partial(made, each) for each in pictures if not pool.holds(each)]):
            pool.add(name, piece)
    return pool


def _painted(seed: int, lesions: bool, pool: Pieces) -> Drawn:
    from ..synthetic.composed.compose import compose_slide
    from ..synthetic.painter import Painter

    def draw() -> Drawn:
        slide = compose_slide(Painter(), side=SIDE, seed=seed, lesions=lesions, pieces=pool)
        return Drawn(slide.size, slide.mpp, slide.lesion, slide.patients, tuple(slide.bands()))

    return _PAINTED.get((seed, lesions), draw)


def _all_ours(entry: Path, root: Path, ours: re.Pattern[str]) -> bool:
    files = [entry] if entry.is_file() else [file for file in entry.rglob("*") if file.is_file()]
    return all(ours.fullmatch(file.relative_to(root).as_posix()) for file in files)
