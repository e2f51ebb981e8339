"""What a tracking store keeps of a run, as plain data: its record, its artifacts as files, and the tables in them.

`tracking/` writes and reads these, `reporting/` shows them, and neither imports the other: both import this module.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from benchmark.csv_text import unescaped
from benchmark.errors import DataError, TrackingError
from benchmark.file_names import id_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from benchmark.metrics.subgroups import Column

T = TypeVar("T")

TABLE_SUFFIX = ".table.json"
"""Artifacts whose name ends so are shown as tables by MLflow."""

PER_SLIDE, UNITS, SCORES, MASKS = f"per_slide{TABLE_SUFFIX}", "units.csv", "scores", "masks"
"""Artifacts of a run: its tables of test slides and of test units, the folders of its score maps and own masks."""

NUMBERS = "metrics.json"
"""The artifact with every number of a run, of which the store itself shows a few; a run that has it names it in the
tag `bench.numbers`. Runs stored before there was the tag have all numbers in the store."""

CALIBRATION = "calibration.json"
"""The artifact with the figures of calibration, and the points of their diagrams."""

GROUPS = "groups.json"
"""The artifact with the figures of subgroups: column → its groups, or why it has none."""

CONFIG = "config.yaml"
"""The artifact with all settings of a run, resolved: it repeats the run."""

NO_NUMBERS = "bench.numbers_missing"
"""Tag of a record, in no store: why only the store's own numbers are there."""

EFFORT, EFFORT_COLUMNS = "effort.csv", ("part", "metric", "reviews", "value")
"""The table of quality over the expert's effort, in runs where an expert reviewed."""

UNIT_COLUMNS = ("slide", "patient", "unit", "label", "score")


@dataclass(frozen=True)
class StoredRun:
    """A run as the store has it; `metrics` are the latest values. `ended`: milliseconds since 1970, 0 while it runs."""

    id: str
    name: str
    status: str
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]
    artifact_uri: str
    experiment: str = ""
    ended: int = 0
    started: int = field(default=0, compare=False)

    def tag(self, name: str) -> str | None:
        """The tag `bench.NAME`; None where the run does not have it, or it is empty."""
        return self.tags.get(f"bench.{name}") or None


class Artifacts(Protocol):
    """Artifacts of stored runs as files on this machine."""

    def fetch(self, run: StoredRun, path: str) -> list[Path]:
        """The files of the artifact file or folder `path`, under that path; none when the run has none.

        Raises `TrackingError` when the store cannot say.
        """
        ...


class MissingError(DataError):
    """An artifact that a run does not have, or that cannot be read; the message is a sentence that can be shown."""


@dataclass(frozen=True)
class Maps:
    """Where the decision of a run on a slide lies: its scores, and its own mask where it gave one."""

    scores: Path
    mask: Path | None = None

    @property
    def deciding(self) -> Path:
        """The map that decides at 0.5: the method's own mask where there is one, else the scores."""
        return self.mask or self.scores


def require(artifacts: Artifacts, run: StoredRun, path: str) -> list[Path]:
    """The files of an artifact. Raises `MissingError` when there is none, or the store cannot say."""
    name = f"Run {run.id[:8]} ({run.name})"
    try:
        files = artifacts.fetch(run, path)
    except TrackingError as error:
        raise MissingError(f"{name}: {path} could not be fetched, {error.what}.") from error
    if not files:
        raise MissingError(f"{name} has no {path} among its artifacts.")
    return files


def with_numbers(artifacts: Artifacts, run: StoredRun, wanted: Collection[str] | None = None) -> StoredRun:
    """The run with all numbers of `NUMBERS`: those of subsets, intervals as `.low` and `.high`, spreads, stages.

    `wanted`: names, or prefixes that end in `/`; None for all. Where the file cannot be had, the record keeps the
    store's own numbers and says why in the tag `NO_NUMBERS`.
    """
    if run.tag("numbers") is None:
        return run
    try:
        numbers = _read(artifacts, run, NUMBERS, _numbers)
    except MissingError as error:
        return replace(run, tags={**run.tags, NO_NUMBERS: str(error)})
    prefixes = tuple(name for name in wanted or () if name.endswith("/"))
    chosen = {
        name: value
        for name, value in numbers.items()
        if wanted is None or name in wanted or (prefixes and name.startswith(prefixes))
    }
    return replace(run, metrics={**run.metrics, **chosen})


def slide_rows(artifacts: Artifacts, run: StoredRun) -> list[dict[str, Any]]:
    """The table per slide: `slide`, `subset` and a number per metric, None where it is undefined.

    Raises `MissingError` when the run has no such table, or it cannot be read.
    """
    return _read(artifacts, run, PER_SLIDE, _rows)


def slide_table(artifacts: Artifacts, run: StoredRun) -> DataFrame:
    """The same as a data frame: `slide` and `subset` are text, metrics are floats, NaN where undefined."""
    from pandas import DataFrame

    return DataFrame(slide_rows(artifacts, run))


def unit_table(artifacts: Artifacts, run: StoredRun) -> DataFrame:
    """The test units: `slide`, `patient` (text), `unit`, `label` (0 or 1), `score` (NaN where it is not a number).

    Raises `MissingError` when the run has no such table, or it cannot be read.
    """
    return _read(artifacts, run, UNITS, _units)


def method_params(artifacts: Artifacts, run: StoredRun) -> dict[str, str]:
    """The resolved parameters of the run's method, from its record, or from `CONFIG` where that was read without them.

    Raises `MissingError` when neither has them.
    """
    own = {name: value for name, value in run.params.items() if name != "seed" and "." not in name}
    return own or _read(artifacts, run, CONFIG, _params)


def group_columns(artifacts: Artifacts, run: StoredRun) -> dict[str, Column]:
    """Column → its groups with their figures.

    Raises `MissingError` when the run has no such file, or it cannot be read.
    """
    return _read(artifacts, run, GROUPS, _groups)


def effort_curves(artifacts: Artifacts, run: StoredRun) -> dict[str, list[tuple[int, float]]]:
    """`PART/METRIC` → (reviews, value) by ascending reviews.

    Raises `MissingError` when the run has no such table, or it cannot be read.
    """
    return _read(artifacts, run, EFFORT, _effort)


def score_maps(artifacts: Artifacts, run: StoredRun) -> dict[str, Maps]:
    """Slide → its maps, by name of the slide. Raises `TrackingError` when the store cannot say."""
    maps: dict[str, dict[str, Path]] = {}
    for kind in (SCORES, MASKS):
        paths = [path for path in artifacts.fetch(run, kind) if path.suffix == ".png"]
        maps[kind] = {id_of(path.name, ".png"): path for path in paths}
    return {slide: Maps(path, maps[MASKS].get(slide)) for slide, path in sorted(maps[SCORES].items())}


def _numbers(path: Path) -> dict[str, float]:
    numbers = json.loads(path.read_text(encoding="utf-8"))["numbers"]
    return {str(name): float(value) for name, value in numbers.items()}


def _rows(path: Path) -> list[dict[str, Any]]:
    table = json.loads(path.read_text(encoding="utf-8"))
    return [dict(zip(table["columns"], line, strict=True)) for line in table["data"]]


def _units(path: Path) -> DataFrame:
    from pandas import read_csv

    # As text first: pandas' own reading of a float is not exact to the last bit.
    text = read_csv(path, usecols=list(UNIT_COLUMNS), dtype=str, keep_default_na=False)
    scores = [float(score or "nan") for score in text["score"]]
    names = {column: text[column].map(unescaped) for column in ("slide", "patient")}
    return text.assign(**names, unit=text["unit"].astype(int), label=text["label"].astype("int8"), score=scores)


def _params(path: Path) -> dict[str, str]:
    import yaml

    from benchmark.plain_yaml import read_yaml

    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    return {name: str(value) for name, value in content["params"].items()}


def _groups(path: Path) -> dict[str, Column]:
    from benchmark.metrics.subgroups import Column

    content = json.loads(path.read_text(encoding="utf-8"))
    return {name: Column.read(name, own) for name, own in content.items()}


def _effort(path: Path) -> dict[str, list[tuple[int, float]]]:
    from csv import DictReader

    curves: dict[str, list[tuple[int, float]]] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for row in DictReader(stream):
            points = curves.setdefault(f"{row['part']}/{row['metric']}", [])
            points.append((int(row["reviews"]), float(row["value"])))
    return curves


def _read(artifacts: Artifacts, run: StoredRun, path: str, read: Callable[[Path], T]) -> T:
    file, *_ = require(artifacts, run, path)
    try:
        return read(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"Run {run.id[:8]} ({run.name}): {path} cannot be read ({type(error).__name__}: {error})."
        raise MissingError(msg) from error
