"""What the charts and the gallery stand on: the artifacts of the run of lowest seed of a row."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError, TrackingError
from benchmark.reporting.leaderboard.standings_model import Row
from benchmark.reporting.report.run_figures import Files

T = TypeVar("T")
UNITS, SLIDES, PICTURES = "units.csv", "per_slide.table.json", "overlays"
_PICTURE = re.compile(rf".*/{PICTURES}/(\d+)_(.+)\.jpe?g")


class MissingError(DataError):
    """An artifact that a run does not have, or that cannot be read; the message is a sentence for the page."""


@dataclass(frozen=True)
class Picture:
    """The overlay of a slide; `place` counts from 1, the worst."""

    place: int
    slide: str
    path: Path


class Evidence:
    """The artifacts of a row's run of lowest seed; each is fetched when it is first asked for.

    All properties raise `MissingError` when the run does not have what they are read from.
    """

    def __init__(self, files: Files, row: Row) -> None:
        self.row = row
        self._files = files
        _, self.run = min(zip(row.seeds, row.runs, strict=True), key=lambda pair: pair[0])

    @cached_property
    def units(self) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """Labels (1 positive, 0 negative) and finite scores of the test units."""
        return self._read(UNITS, _units)

    @cached_property
    def slides(self) -> list[dict[str, Any]]:
        """A row of columns per test slide."""
        return self._read(SLIDES, _slides)

    @cached_property
    def pictures(self) -> list[Picture]:
        """Overlays of slides, the worst first."""
        paths = [(path, _PICTURE.fullmatch(path.as_posix())) for path in self._fetch(PICTURES)]
        found = [Picture(int(match[1]), match[2], path) for path, match in paths if match]
        if not found:
            raise MissingError(f"{self._name} has no overlays among its artifacts.")
        return sorted(found, key=lambda picture: (picture.place, picture.slide))

    @property
    def _name(self) -> str:
        return f"Run {self.run.id[:8]} ({self.row.label})"

    def _read(self, path: str, read: Callable[[Path], T]) -> T:
        found = self._fetch(path)
        if not found:
            raise MissingError(f"{self._name} has no {path} among its artifacts.")
        try:
            return read(found[0])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MissingError(f"{self._name}: {path} cannot be read ({type(error).__name__}: {error}).") from error

    def _fetch(self, path: str) -> list[Path]:
        try:
            return self._files.fetch(self.run, path)
        except TrackingError as error:
            raise MissingError(f"{self._name}: {path} could not be fetched, {error.what}.") from error


def _units(path: Path) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    with path.open(encoding="utf-8", newline="") as text:
        pairs = [(float(line["label"]), float(line["score"] or "nan")) for line in csv.DictReader(text)]
    values = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    values = values[np.isfinite(values).all(axis=1)]
    return values[:, 0].astype(np.int8), values[:, 1]


def _slides(path: Path) -> list[dict[str, Any]]:
    table = json.loads(path.read_text(encoding="utf-8"))
    return [dict(zip(table["columns"], line, strict=True)) for line in table["data"]]


def number(value: Any) -> float | None:
    """A cell of a slide's row as a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)
