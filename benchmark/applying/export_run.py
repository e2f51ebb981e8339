"""A run's refined annotations as files that viewers open: one per test slide, outlines along the cell edges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.applying.written_files import file_digest, keep_written, require_free, written_before
from benchmark.errors import ConfigError
from benchmark.file_names import file_name
from benchmark.reporting.cells import cell_edges
from benchmark.slides import Grid, ScoreMap
from benchmark.storage import require_folder
from benchmark.stored import Artifacts, StoredRun, score_maps

if TYPE_CHECKING:
    from benchmark.annotations import Polygons

Format = Literal["geojson", "asap"]
SUFFIXES: Mapping[Format, str] = {"geojson": ".geojson", "asap": ".xml"}
FALLBACK = ("background", "lesion")
"""Class names of a run that does not say its own (tag `bench.classes`)."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote: `slides` files with `regions` outlines of class `name` in `folder`."""

    folder: Path
    slides: int
    regions: int
    name: str
    empty: int
    """Slides on which nothing is positive; their file has no region."""


def export_run(
    run: StoredRun,
    artifacts: Artifacts,
    kind: Format,
    out: Path | None = None,
    *,
    force: bool = False,
    track: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> Exported:
    """Write `<slide>.geojson` or `<slide>.xml` for every test slide of a stored run.

    Args:
        run: its record.
        artifacts: where its score maps come from.
        kind: format of the files.
        out: where to; default `annotations-<first 8 of the id>-<kind>` in the current folder.
        force: replace files that no export wrote, or that were changed since.
        track: goes through the slides, for a progress bar.

    Raises:
        TrackingError: the store does not give out the maps.
        ConfigError: the run is not finished, has no score maps, or a file is in the way.
        DataError: a score map cannot be read.
    """
    if run.status != "FINISHED":
        again = f"bench run --method {run.tag('method') or 'NAME'} --dataset {run.tag('dataset') or 'NAME'}"
        msg = f"run {run.id[:8]} ({run.name}) is {run.status}, so its score maps are not complete"
        raise ConfigError(msg, fix=f"{again}   # resumes it")
    maps = {slide: both.deciding for slide, both in score_maps(artifacts, run).items()}
    if not maps:
        msg = f"run {run.id[:8]} ({run.name}) has no score maps among its artifacts, so there is nothing to export"
        raise ConfigError(msg, fix="bench ui   # shows the artifacts of every run")
    folder = out or Path(f"annotations-{run.id[:8]}-{kind}")
    require_folder(folder)
    names = {slide: file_name(slide, SUFFIXES[kind]) for slide in maps}
    known = written_before(folder)
    if not force:
        require_free(folder, names.values(), known, fix="--out ANOTHER_FOLDER, or --force to replace")
    return _write(maps, names, track, folder, known, _classes(run), kind, run.id)


def outlined_cells(mask: NDArray[np.bool_], grid: Grid) -> Polygons:
    """The True cells of a grid as outlines along the cell edges, in level-0 pixels.

    Every region is one connected area (cells that touch only at a corner are apart), holes stay holes. By the centre
    rule the outlines give the same mask back on the same grid.
    """
    import shapely
    from skimage.measure import label

    from benchmark.annotations import Polygons, Region
    from benchmark.annotations.outlines import outlines

    x, y = cell_edges(grid)

    def place(corners: NDArray[np.float64]) -> NDArray[np.float64]:
        cols, rows = np.rint(corners).astype(np.int64).T
        return np.column_stack([x[cols], y[rows]])

    areas = label(np.asarray(mask, dtype=np.uint8), background=0, connectivity=1)
    return Polygons([Region(shapely.transform(shape, place), 1) for _, shape in outlines(areas, 1.0)])


def _write(
    maps: Mapping[str, Path],
    names: Mapping[str, str],
    track: Callable[[Iterable[str]], Iterable[str]],
    folder: Path,
    known: Mapping[str, str],
    classes: tuple[str, ...],
    kind: Format,
    run: str,
) -> Exported:
    from benchmark.annotations import write_asap, write_geojson

    write = write_geojson if kind == "geojson" else write_asap
    files, regions, empty = dict(known), 0, 0
    for slide in track(maps):
        scores = ScoreMap.load(maps[slide])
        annotation = outlined_cells(scores.values > 0.5, scores.grid)
        target = folder / names[slide]
        target.parent.mkdir(parents=True, exist_ok=True)
        write(target, annotation, classes)
        files[names[slide]] = file_digest(target)
        keep_written(folder, {"run": run}, files)
        regions += annotation.count()
        empty += not annotation.regions
    return Exported(folder, len(maps), regions, classes[1], empty)


def _classes(run: StoredRun) -> tuple[str, ...]:
    named = tuple(name.strip() for name in run.tags.get("bench.classes", "").split(","))
    return named if len(named) > 1 and all(named) else FALLBACK
