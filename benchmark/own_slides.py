"""The library on one's own slides: `benchmark.refine`, `benchmark.predict` and `benchmark.load_run`.

Here, as in the verbs, the store (`tracking/`) and what is applied to slides (`applying/`) come together.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmark.applying.annotation_files import chosen_format
from benchmark.applying.given_slides import given_slides, plausible
from benchmark.applying.predict_slides import Predictions, PredictRequest, predict_slides
from benchmark.applying.pyfunc_loader import LoadedModel
from benchmark.applying.refine_plan import RefinePlan, RefineRequest, plan_refinement
from benchmark.applying.refine_slides import Refinement, refine_slides
from benchmark.applying.stored_model import StoredModel
from benchmark.config import DEFAULT_PRESET
from benchmark.errors import ConfigError
from benchmark.running.console import RunReporter
from benchmark.supervision import TRANSDUCTIVE
from benchmark.terminal import PlainConsole

if TYPE_CHECKING:
    from benchmark.tracking.store import LiveRun, Tracker

EXPERIMENT = "own-slides"
"""The experiment of runs on slides that belong to no dataset."""
Paths = str | Path | Sequence[str | Path]


def refine(
    slides: Paths,
    annotation: str | Path,
    out: str | Path,
    *,
    method: str | None = None,
    preset: str = DEFAULT_PRESET,
    settings: Mapping[str, Any] | None = None,
    format: str | None = None,
    mpp: float | None = None,
    seed: int = 0,
    device: str = "auto",
    store: str | None = None,
    track: bool = True,
    cache: str | Path | None = None,
    force: bool = False,
) -> Refinement:
    """Refine coarse annotations of slides, as `bench refine` does.

    Args:
        slides: files, or folders of slides.
        annotation: the file of the only slide, or a folder with one file per slide, called like it.
        out: folder for the refined annotations, score maps, pictures, page and table; empty unless `force`.
        method: a method whose only supervision is a coarse annotation; None: the one that offers itself.
        preset: of its parameters.
        settings: further parameters, and how slides are read (`OwnOptions`).
        format: geojson, asap, imagescope or label-image; None: that of each annotation.
        mpp: microns per pixel of slides that do not state it.
        seed: of all that is random.
        device: auto, cpu, cuda or cuda:N.
        store: address of the MLflow store; by default MLFLOW_TRACKING_URI, else ./mlflow.db.
        track: keep the run in MLflow.
        cache: folder of features; by default BENCH_CACHE.
        force: also write into a folder that is not empty.

    Returns:
        The refined slides by id, each with its mask, figures, warnings and files; and why others failed.

    Raises:
        BenchError: a bad argument, or not one slide can be refined.
    """
    request = RefineRequest(
        slides=_paths(slides),
        annotation=Path(annotation),
        out=Path(out),
        method=method,
        preset=preset,
        settings=[f"{key}={_yaml(value)}" for key, value in (settings or {}).items()],
        format=format,
        mpp=mpp,
        seed=seed,
        device=device,
        cache=None if cache is None else Path(cache),
        force=force,
    )
    return refined(plan_refinement(request), PlainConsole(quiet=True), store=store, track=track)


def refined(plan: RefinePlan, console: PlainConsole, *, store: str | None, track: bool) -> Refinement:
    """Carry a plan out, with progress on the console, and keep it in MLflow if `track`."""
    if not track:
        return refine_slides(plan, RunReporter(console, None))
    from benchmark.running.attempt import kept_open

    began = time.perf_counter()
    live = _started(plan, store)
    with kept_open(live):
        done = refine_slides(plan, RunReporter(console, live))
        done.run = live.id
        _deliver(live, done, time.perf_counter() - began)
    return done


def _started(plan: RefinePlan, store: str | None) -> LiveRun:
    from benchmark.cachehome import cache_home
    from benchmark.provenance import code_version
    from benchmark.tracking.offline_store import open_store
    from benchmark.tracking.store import DatasetInput

    request, name = plan.request, plan.method.name
    cache = request.cache or cache_home()
    params = {**plan.params.model_dump(mode="json"), **{f"slides.{k}": v for k, v in plan.options}}
    tags = {
        "bench.kind": "refine",
        "bench.method": name,
        "bench.preset": request.preset,
        "bench.seed": str(request.seed),
        "bench.supervision": "+".join(sorted(plan.method.supervision)),
        "bench.code": code_version(),
        "bench.classes": f"normal,{plan.options.positive}",
    }
    slides = {"slides": {one.id: str(one.path) for one in plan.slides}, "annotation": str(request.annotation)}
    return open_store(store, cache=cache / "tracking").start(
        experiment=EXPERIMENT,
        description="Slides that belong to no dataset: annotations refined by `bench refine`. No truth, no metrics.",
        name=f"{name} {request.preset} on {_slides_in_words(plan)}",
        params={**params, "seed": request.seed},
        tags=tags,
        dataset=DatasetInput("own slides", str(request.slides[0]), "", slides),
    )


def _slides_in_words(plan: RefinePlan) -> str:
    """The only slide's name, or how many there are and where the first lies."""
    first = plan.slides[0]
    return first.id if len(plan.slides) == 1 else f"{len(plan.slides)} slides of {first.path.parent.name}"


def _deliver(live: LiveRun, done: Refinement, seconds: float) -> None:
    totals = {name: [one.figures[name] for one in done.slides.values()] for name in ("changed", "added", "removed")}
    numbers = {f"refine/{name}": sum(values) / len(values) for name, values in totals.items()}
    live.log_metrics({**numbers, "refine/slides": float(len(done.slides)), "cost/seconds": seconds})
    warnings = [f"{one.id}: {warning}" for one in done.slides.values() for warning in one.warnings]
    said = [*warnings, *(f"{slide} was not refined: {why}" for slide, why in done.failed.items())]
    live.set_tags({"bench.state": "ok", "bench.data_digest": done.data_digest, "bench.warnings": str(len(warnings))})
    live.describe("\n\n".join([f"{len(done.slides)} slides refined, written to {done.out.absolute()}", *said]))
    with TemporaryDirectory(prefix="bench-refined-") as folder:
        for path in done.written:
            shutil.copy2(path, folder)
        live.artifacts(Path(folder))
    live.finish()


@contextmanager
def stored_model(run: str | None, best: str | None, store: str | None) -> Iterator[tuple[StoredModel, str]]:
    """The model of a run, or of the leaderboard's first on a dataset, and the run's id; copies are deleted after.

    Raises `ConfigError` unless one of the two is named, or the run has no model.
    """
    from benchmark.tracking.artifacts import StoreArtifacts
    from benchmark.tracking.offline_store import open_store

    if (run is None) == (best is None):
        raise ConfigError("whose model? expected one of a run and a dataset", fix="--run RUN, or --best DATASET")
    tracker = open_store(store)
    chosen = tracker.find(run if run is not None else _best(tracker, best or ""))
    with StoreArtifacts(tracker) as artifacts:
        files = artifacts.fetch(chosen, "model")
        if not files:
            again = f"bench run --method {chosen.tag('method') or 'NAME'} --dataset {chosen.tag('dataset') or 'NAME'}"
            msg = f"run {chosen.id[:8]} ({chosen.name}, {chosen.status}) has no model among its artifacts"
            raise ConfigError(msg, fix=f"{again}   # or another run: bench leaderboard")
        folders = sorted({file.parent for file in files}, key=lambda folder: len(folder.parts))
        yield StoredModel.open(folders[0]), chosen.id


def _best(tracker: Tracker, dataset: str) -> str:
    """The run of the leaderboard's first row whose method can be applied to slides without labels."""
    from benchmark.metrics.catalogue import METRICS
    from benchmark.notebook import read_leaderboard
    from benchmark.reporting.leaderboard.build_boards import Filters
    from benchmark.reporting.leaderboard.standings_model import TASKS

    found = read_leaderboard(tracker, Filters(datasets=(dataset,)), tests=False).boards
    boards = [board for board in found if not board.elsewhere]
    rows = [row for row in (boards[0].rows if boards else ()) if not {*row.supervision.split("+")} <= {*TRANSDUCTIVE}]
    for metric in (names[0] for names in TASKS.values() if names):
        ranked = [row for row in rows if row.mean(metric) is not None]
        if ranked:
            sign = 1 if METRICS[metric].direction == "down" else -1
            first = min(ranked, key=lambda row: sign * (row.mean(metric) or 0.0))
            return first.runs[0].id
    msg = f"the store {tracker.shown} has no finished run on {dataset} whose model scores slides without labels"
    raise ConfigError(msg, fix=f"bench leaderboard --dataset {dataset}")


def predict(
    slides: Paths,
    out: str | Path,
    *,
    run: str | None = None,
    best: str | None = None,
    format: str | None = None,
    mpp: float | None = None,
    classes: Sequence[str] = (),
    device: str = "auto",
    jobs: int = 1,
    store: str | None = None,
    cache: str | Path | None = None,
    force: bool = False,
) -> Predictions:
    """Score new slides with the model of a run, as `bench predict` does.

    Args:
        slides: files, folders of slides, or a table with the columns `slide` and maybe `mpp`.
        out: folder for score maps, outlines and `predictions.csv`; empty, or of the same prediction, which goes on.
        run: the run's id, or its beginning.
        best: instead of it, a dataset: the leaderboard's first.
        format: of the outlines: geojson (default), asap, imagescope or label-image.
        mpp: microns per pixel of slides that do not state it.
        classes: refuse a model of other classes; the negative one first.
        device: auto, cpu, cuda or cuda:N.
        jobs: slides at a time, each in a process of its own; 1: one after another in this one.
        store: address of the MLflow store; by default MLFLOW_TRACKING_URI, else ./mlflow.db.
        cache: folder of features; by default BENCH_CACHE.
        force: repeat what is done, and write into any folder.

    Returns:
        A row per slide, and why others have none.

    Raises:
        BenchError: a bad argument, a run without model, or not one slide can be scored.
    """
    with stored_model(run, best, store) as (model, source):
        request = PredictRequest(
            slides=given_slides(_paths(slides)),
            out=Path(out),
            run=source,
            format=chosen_format(format) or "geojson",
            mpp=None if mpp is None else plausible(mpp, "mpp"),
            device=device,
            jobs=jobs,
            cache=None if cache is None else Path(cache),
            force=force,
            classes=tuple(classes),
        )
        return predict_slides(model, request, RunReporter(PlainConsole(quiet=True), None))


def load_run(run: str, *, store: str | None = None, device: str = "auto") -> LoadedModel:
    """The model of a run: `.predict(slides)` gives a data frame, `.predictor.predict(…)` score map and mask.

    Args:
        run: the run's id, or its beginning.
        store: address of the MLflow store; by default MLFLOW_TRACKING_URI, else ./mlflow.db.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        BenchError: there is no such run, or it has no model that can be used here.
    """
    with stored_model(run, None, store) as (model, _):
        loaded = LoadedModel(model.folder, device)
        loaded.predictor  # noqa: B018  # read while the copies are there
    return loaded


def _paths(places: Paths) -> list[Path]:
    given = [places] if isinstance(places, str | Path) else places
    return [Path(place) for place in given]


def _yaml(value: Any) -> str:
    import json

    return json.dumps(str(value) if isinstance(value, Path) else value)
