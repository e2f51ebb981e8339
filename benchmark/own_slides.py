"""The library on one's own slides: `benchmark.refine`, `benchmark.predict` and `benchmark.load_run`.

Here, as in the verbs, the store (`tracking/`) and what is applied to slides (`applying/`) come together.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.applying.refine import Refinement, refine_slides
from benchmark.applying.refine_plan import RefinePlan, RefineRequest, plan_refinement
from benchmark.config import DEFAULT_PRESET
from benchmark.context import Reporter
from benchmark.running.console import RunReporter
from benchmark.terminal import PlainConsole

if TYPE_CHECKING:
    from benchmark.tracking.store import LiveRun

EXPERIMENT = "own-slides"
"""The experiment of runs on slides that belong to no data set."""
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
    with ExitStack() as open_run:
        live = _started(plan, store)
        open_run.enter_context(kept_open(live))
        reporter: Reporter = RunReporter(console, live)
        done = refine_slides(plan, reporter)
        _deliver(live, done, time.perf_counter() - began)
    return done


def _started(plan: RefinePlan, store: str | None) -> LiveRun:
    from benchmark.datahome import cache_home
    from benchmark.provenance import code_version
    from benchmark.tracking.store import DatasetInput, Tracker

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
    return Tracker(store, cache=cache / "tracking").start(
        experiment=EXPERIMENT,
        description="Slides that belong to no data set: annotations refined by `bench refine`. No truth, no metrics.",
        name=f"{name} {request.preset}",
        params={**params, "seed": request.seed},
        tags=tags,
        dataset=DatasetInput("own slides", str(request.slides[0]), "", slides),
    )


def _deliver(live: LiveRun, done: Refinement, seconds: float) -> None:
    totals = {name: [one.figures[name] for one in done.slides.values()] for name in ("changed", "added", "removed")}
    numbers = {f"refine/{name}": sum(values) / len(values) for name, values in totals.items()}
    live.log_metrics({**numbers, "refine/slides": float(len(done.slides)), "cost/seconds": seconds})
    warnings = [f"{one.id}: {warning}" for one in done.slides.values() for warning in one.warnings]
    said = [*warnings, *(f"{slide} was not refined: {why}" for slide, why in done.failed.items())]
    live.set_tags({"bench.state": "ok", "bench.data_digest": done.data_digest, "bench.warnings": str(len(warnings))})
    live.describe("\n\n".join([f"{len(done.slides)} slides refined, written to {done.out.absolute()}", *said]))
    live.artifacts(done.out)
    live.finish()


def _paths(places: Paths) -> list[Path]:
    given = [places] if isinstance(places, str | Path) else places
    return [Path(place) for place in given]


def _yaml(value: Any) -> str:
    import json

    return json.dumps(str(value) if isinstance(value, Path) else value)
