"""The stored model of a run on new slides: score maps, outlines, a table; goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.applying.annotation_files import SUFFIXES, Format, write_annotation
from benchmark.applying.export_run import outlined_cells
from benchmark.applying.given_slides import Given
from benchmark.applying.model_card import ModelCard
from benchmark.applying.out_folder import require_empty, writing
from benchmark.applying.score_tiff import write_score_tiff
from benchmark.applying.stored_model import Predicted, Predictor, StoredModel
from benchmark.context import Reporter, SilentReporter
from benchmark.csv_text import csv_text
from benchmark.digest import content_digest
from benchmark.errors import ConfigError, DataError
from benchmark.file_names import file_name
from benchmark.slides import Grid, RescaledSlide, Slide, slide_facts
from benchmark.storage import whole_file

MARK, TABLE, RECORDS = "prediction.json", "predictions.csv", ".done"
"""What the folder belongs to; the table over slides; a record per finished slide, written last."""

FINENESS = 8
"""Pixels of a label image across a cell of a rescaled slide, at least."""


@dataclass(frozen=True)
class PredictRequest:
    """What `bench predict` is to do with a model. `run`: whose it is, so that a folder serves one model alone."""

    slides: Sequence[Given]
    out: Path
    run: str
    format: Format = "geojson"
    mpp: float | None = None
    device: str = "auto"
    jobs: int = 1
    cache: Path | None = None
    force: bool = False
    classes: tuple[str, ...] = ()


@dataclass
class Predictions:
    """A row per slide that was scored, now or before, and for each other why it was not. `before`: done earlier."""

    out: Path
    threshold: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    before: int = 0

    @property
    def table(self) -> Path:
        """The table over slides."""
        return self.out / TABLE


def row_of(done: Predicted, card: ModelCard) -> dict[str, Any]:
    """The row of a slide in the table."""
    return {
        "slide": done.slide.id,
        "path": str(done.slide.path),
        "score": done.score,
        "threshold": card.threshold.value,
        "positive": done.positive,
        "positive_share": done.share,
        "notes": "; ".join(done.notes),
    }


def predict_slides(model: StoredModel, request: PredictRequest, reporter: Reporter | None = None) -> Predictions:
    """Score slides and write, of each, the score map and the outlines of what is positive; of all, a table.

    A slide that was done before, by the same model, with the same settings and content, is not done again; the table
    keeps the rows of such slides that are not among these. One that cannot be used is named with its reason, and the
    others go on. Memory is that of one batch and one slide's cells a job.

    Raises:
        ConfigError: the folder belongs to something else, or cannot be written; other classes are wanted; another
            slide of the same name was done there.
        DataError: not one slide can be scored.
    """
    reporter = reporter or SilentReporter()
    model.check_classes(request.classes)
    with writing(request.out):
        own = _claim(model, request)
        done = Predictions(request.out, model.card.threshold.meaning)
        rows, waiting, others = _known(own, request)
        done.before = len(rows)
        alone = request.jobs < 2
        results = _one_by_one(model, request, waiting, reporter) if alone else _abreast(model, request, waiting)
        for given, row in reporter.track(results, "predicting slides", len(waiting)) if waiting else ():
            if isinstance(row, str):
                done.failed[given.id] = row
                reporter.say(f"left out: {row}")
            else:
                rows[given.id] = row
        done.rows = [rows[given.id] for given in request.slides if given.id in rows]
        if not rows:
            first = next(iter(done.failed.values()), "there is none")
            raise DataError(f"none of the {len(done.failed)} slides can be scored; the first: {first}")
        _write_table(done, others)
    return done


Result = tuple[Given, "dict[str, Any] | str"]
"""A slide with its row, or why it has none."""


def _one_by_one(
    model: StoredModel, request: PredictRequest, slides: Sequence[Given], reporter: Reporter
) -> Iterator[Result]:
    if slides:
        predictor = model.ready(device=request.device, cache=request.cache, reporter=reporter)
        for given in slides:
            yield given, _scored(predictor, request, given)


def _abreast(model: StoredModel, request: PredictRequest, slides: Sequence[Given]) -> Iterator[Result]:
    """Several processes, each with the model; no more slides are handed out than are being worked on."""
    if not slides:
        return
    jobs = min(request.jobs, len(slides))
    arguments = (str(model.folder), request, jobs)
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_start, initargs=arguments) as pool:
        waiting, working = list(reversed(slides)), dict[Future[dict[str, Any] | str], Given]()
        while waiting or working:
            while waiting and len(working) < jobs:
                given = waiting.pop()
                working[pool.submit(_work, given)] = given
            for future in wait(working, return_when=FIRST_COMPLETED).done:
                try:
                    yield working.pop(future), future.result()
                except BrokenProcessPool as error:
                    msg = "a process that predicted slides died: out of memory, or it was killed"
                    raise ConfigError(msg, fix="the same command goes on where it stopped; fewer --jobs") from error


_predictor: Predictor | None = None
_request: PredictRequest | None = None


def _start(folder: str, request: PredictRequest, jobs: int) -> None:
    """In a process of its own: load the model once."""
    global _predictor, _request
    from benchmark.running.device import limit_threads, threads

    _predictor = StoredModel.open(Path(folder)).ready(
        device=request.device, cache=request.cache, reporter=SilentReporter()
    )
    import torch

    torch.set_num_threads(max(1, threads() // jobs))
    limit_threads(max(1, threads() // jobs))
    _request = request


def _work(given: Given) -> dict[str, Any] | str:
    assert _predictor is not None and _request is not None
    return _scored(_predictor, _request, given)


def _scored(predictor: Predictor, request: PredictRequest, given: Given) -> dict[str, Any] | str:
    """Score one slide and write its files; its row, or why it cannot be scored."""
    try:
        done = predictor.predict(given, request.mpp)
        slide, card, grid = done.slide, predictor.model.card, done.scores.grid
        write_score_tiff(request.out / file_name(given.id, ".scores.tif"), done.scores, slide.size, slide.mpp)
        target = request.out / file_name(given.id, SUFFIXES[request.format])
        shown = done.mask & np.isfinite(done.scores.values)
        notes = _write_outlines(target, slide, shown, grid, request.format, card.classes)
    except DataError as error:
        return str(error).replace("\n  → ", "; ")
    row = row_of(replace(done, notes=(*done.notes, *notes)), card)
    record = _record(request, given)
    record.parent.mkdir(parents=True, exist_ok=True)
    own = _own(predictor.model, request)
    kept = {"of": own, "mpp": given.mpp, "content": _content(given), "row": row}
    with whole_file(record) as temporary:
        temporary.write_text(json.dumps(kept), encoding="utf-8")
    return row


def _write_outlines(
    target: Path, slide: Slide, shown: NDArray[np.bool_], grid: Grid, kind: Format, classes: tuple[str, ...]
) -> tuple[str, ...]:
    """Outlines in the pixels of the slide's file, also where it was read at a coarser resolution; notes on them.

    GeoJSON is for QuPath, which counts from the corner of the scanned area where a scanner gives one.
    """
    outlines = outlined_cells(shown, grid)
    if isinstance(slide, RescaledSlide):
        step = max(1, int(min(grid.width, grid.height) * slide.times) // FINENESS)
        outlines, slide = outlines.scaled(slide.times), slide.original
        grid = Grid.regular(slide.size, 2 ** (step.bit_length() - 1))
    bounds = slide_facts(slide.path, slide.id).bounds if kind == "geojson" else None
    if bounds is None or bounds[:2] == (0, 0):
        write_annotation(target, outlines, kind, classes, slide, grid)
        return ()
    x, y, _, _ = bounds
    write_annotation(target, outlines.moved(-x, -y), kind, classes, slide, grid)
    return (f"outlines count from the scanned area, as QuPath does: it begins at ({x}, {y})",)


def _record(request: PredictRequest, given: Given) -> Path:
    return request.out / RECORDS / file_name(given.id, ".json")


def _content(given: Given) -> str:
    return content_digest(given.path.parent, [given.path])


def _own(model: StoredModel, request: PredictRequest) -> dict[str, Any]:
    """Whose predictions these are: what a folder and each record in it belong to."""
    return {"run": request.run, "model": model.card.run, "format": request.format, "mpp": request.mpp}


def _known(
    own: Mapping[str, Any], request: PredictRequest
) -> tuple[dict[str, dict[str, Any]], list[Given], list[dict[str, Any]]]:
    """Rows of slides that were done before, the slides to do, and the rows of slides that are not asked for."""
    before = {path.name: kept for path in sorted((request.out / RECORDS).glob("*.json")) if (kept := _read(path))}
    rows: dict[str, dict[str, Any]] = {}
    waiting = []
    for given in request.slides:
        kept = before.pop(_record(request, given).name, None)
        if kept is None or request.force:
            waiting.append(given)
        elif not _same_content(kept, given):
            _require_same_path(kept, given, request)
            waiting.append(given)
        elif (kept["of"], kept["mpp"]) == (own, given.mpp) and _is_whole(request, given):
            rows[given.id] = {**kept["row"], "path": str(given.path)}
        else:
            waiting.append(given)
    return rows, waiting, [kept["row"] for kept in before.values() if kept["of"] == own]


def _read(record: Path) -> dict[str, Any] | None:
    """A record; None for one that is damaged, which counts as none."""
    try:
        kept: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        return kept if {"of", "mpp", "content", "row"} <= kept.keys() and "path" in kept["row"] else None
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def _same_content(kept: Mapping[str, Any], given: Given) -> bool:
    try:
        return bool(kept["content"] == _content(given))
    except DataError:
        return False


def _require_same_path(kept: Mapping[str, Any], given: Given, request: PredictRequest) -> None:
    """Refuse to put the files of one slide in the place of another's."""
    if (other := kept["row"]["path"]) != str(given.path):
        msg = f"{request.out} holds the prediction of another slide called {given.id!r}: {other}, not {given.path}"
        raise ConfigError(msg, fix="give both in one call, or --out ANOTHER_FOLDER; --force replaces the other's files")


def _is_whole(request: PredictRequest, given: Given) -> bool:
    names = [file_name(given.id, ".scores.tif"), file_name(given.id, SUFFIXES[request.format])]
    return all((request.out / name).is_file() for name in names)


def _claim(model: StoredModel, request: PredictRequest) -> dict[str, Any]:
    """Make the folder this model's; returns whose it is now.

    Raises `ConfigError` where it belongs to another, or to nobody and is not empty.
    """
    mark, own = request.out / MARK, _own(model, request)
    if mark.is_file() and not request.force:
        try:
            known = json.loads(mark.read_text(encoding="utf-8"))
        except ValueError:
            known = {}
        if {name: known.get(name) for name in own} != own:
            msg = f"{request.out} holds predictions of run {known.get('run')} ({known.get('format')}), not of these"
            raise ConfigError(msg, fix="--out ANOTHER_FOLDER, or --force to replace files of the same names")
    elif not mark.is_file():
        require_empty(request.out, force=request.force)
    request.out.mkdir(parents=True, exist_ok=True)
    with whole_file(mark) as temporary:
        text = json.dumps(
            {
                **own,
                "threshold": model.card.threshold.meaning,
                "classes": model.card.classes,
                "synthetic": model.card.synthetic,
            },
            indent=1,
        )
        temporary.write_text(text + "\n", encoding="utf-8")
    return own


def _write_table(done: Predictions, others: Sequence[Mapping[str, Any]]) -> None:
    """The rows of this call, those of `others` that were done before, then what could not be scored."""
    from pandas import DataFrame

    failed = [{"slide": slide, "notes": f"not scored: {why}"} for slide, why in done.failed.items()]
    rows = [*done.rows, *others, *failed]
    with whole_file(done.table) as temporary:
        temporary.write_text(csv_text(DataFrame(rows)), encoding="utf-8", newline="")
