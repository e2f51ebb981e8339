"""What the charts and the gallery stand on: the artifacts of the run of lowest seed of a row, or of all."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.reporting.leaderboard.standings_model import Row
from benchmark.stored import Artifacts, MissingError, effort_curves, require, slide_table, unit_table

if TYPE_CHECKING:
    from pandas import DataFrame

PICTURES = "overlays"
_PICTURE = re.compile(rf".*/{PICTURES}/(\d+)_(.+)\.jpe?g")


@dataclass(frozen=True)
class Picture:
    """The overlay of a slide; `place` counts from 1, the worst."""

    place: int
    slide: str
    path: Path


class Evidence:
    """The artifacts of a row's run of lowest seed; each is fetched when it is first asked for.

    `name` is what the page calls the row. All properties raise `MissingError` when the run does not have what they are
    read from.
    """

    def __init__(self, artifacts: Artifacts, row: Row, name: str = "") -> None:
        self.row, self.name = row, name or row.label
        self._artifacts = artifacts
        _, run = min(zip(row.seeds, row.runs, strict=True), key=lambda pair: pair[0])
        self.run = replace(run, name=self.name)

    @cached_property
    def units(self) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """Labels (1 positive, 0 negative) and finite scores of the test units."""
        return self._units["label"].to_numpy(), self._units["score"].to_numpy()

    @cached_property
    def alone(self) -> bool:
        """Whether every patient has one test unit, so that an exact interval holds."""
        return bool(self._units["patient"].is_unique)

    @cached_property
    def _units(self) -> DataFrame:
        table = unit_table(self._artifacts, self.run)
        finite: DataFrame = table[np.isfinite(table["score"])]
        return finite

    @cached_property
    def effort(self) -> list[dict[str, list[tuple[int, float]]]]:
        """Of every run of the row, its curves over reviews, see `benchmark.stored.effort_curves`."""
        return [effort_curves(self._artifacts, replace(run, name=self.name)) for run in self.row.runs]

    @cached_property
    def slides(self) -> DataFrame:
        """The table per slide, see `benchmark.stored.slide_table`."""
        return slide_table(self._artifacts, self.run)

    @cached_property
    def pictures(self) -> list[Picture]:
        """Overlays of slides, the worst first."""
        matches = ((path, _PICTURE.fullmatch(path.as_posix())) for path in require(self._artifacts, self.run, PICTURES))
        pictures = [Picture(int(match[1]), match[2], path) for path, match in matches if match]
        if not pictures:
            raise MissingError(f"Run {self.run.id[:8]} ({self.name}) has no {PICTURES} among its artifacts.")
        return sorted(pictures, key=lambda picture: (picture.place, picture.slide))
