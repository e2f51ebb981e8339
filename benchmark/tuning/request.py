"""What `bench sweep` is asked for, resolved: the file, the pair, the space, and what the study is known by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmark.config import RunRequest, RunSpec, read_setting, resolve, share_settings, symbols_of
from benchmark.errors import ConfigError
from benchmark.identity import facts_of
from benchmark.method import Method
from benchmark.metrics.suite import METRICS
from benchmark.registry import datasets, methods
from benchmark.running.job import OpenData
from benchmark.running.plan import plan
from benchmark.tuning.space import Space, base_of, space_of
from benchmark.tuning.sweep_file import LoadedSweep, Objective, SweepFile, read_sweep, sweep_path

OTHER_NUMBERS = ("cost/", "labels/")
"""Numbers of a run that are no metrics and may be objectives all the same, the fewer the better."""


@dataclass(frozen=True)
class SweepRequest:
    """What the command line asks for. What is None is as the sweep's file says."""

    sweep: str
    run: RunRequest
    """Preset, settings, device, data, store, cache, jobs, memory; its timeout is that of one trial."""
    study: str | None = None
    storage: str | None = None
    trials: int | None = None
    timeout: str | None = None
    test: bool = True


@dataclass(frozen=True)
class Tuned:
    """A sweep of one method on one dataset. `spec` is the published setting, which trials depart from."""

    loaded: LoadedSweep
    spec: RunSpec
    space: Space
    published: Mapping[str, Any]

    @property
    def file(self) -> SweepFile:
        """The sweep's file, with what was typed instead."""
        return self.loaded.file

    @property
    def start(self) -> str:
        """What the first trial is called: the published setting only where the preset is the paper's, unchanged."""
        if self.spec.preset == "paper" and not self.file.params:
            return "published"
        return f"preset {self.spec.preset}{' with params' if self.file.params else ''}"

    def facts(self, data: OpenData) -> dict[str, Any]:
        """All that the trials of a study have in common, as plain JSON: a study of other facts is another study."""
        return {
            "method": self.spec.method,
            "dataset": self.spec.place,
            "preset": self.spec.preset,
            "settings": {name: value for name, value in facts_of(self.spec.params).items() if name not in self.space},
            "data": data.identity,
            "objectives": [[one.metric, one.direction] for one in self.file.objectives],
            "space": self.space.facts(),
            "published": dict(self.published),
            "sampler": self.file.sampler.model_dump(mode="json"),
            "pruner": self.file.pruner.model_dump(mode="json"),
            "seed": self.file.seed,
        }

    def name(self, synthetic: bool) -> str:
        """What the study is called unless the user calls it otherwise."""
        place = self.spec.place.replace(" ", "-")
        return "-".join([self.loaded.name, place, *(["synthetic"] if synthetic else []), self.spec.preset])


def tuned(request: SweepRequest) -> Tuned:
    """Read the file, put what was typed into it, and check all of it. Raises `ConfigError`."""
    loaded = read_sweep(sweep_path(request.sweep))
    file = loaded.file
    dataset = request.run.dataset or file.dataset
    if dataset is None:
        what = f"{loaded.path} names no dataset"
        raise ConfigError(what, fix=f"bench sweep {request.sweep} --dataset NAME   # bench list shows them")
    method = methods().load(file.method)
    name, _, options = dataset.partition(":")
    place = datasets().load(name)
    given = dict(read_setting(text) for text in request.run.settings)
    params, own, unknown = share_settings(given, method, place)
    if unknown:
        what = f"--set {unknown[0]}: neither {file.method} nor {name} has a field of that name"
        raise ConfigError(what, fix=f"bench info {file.method}")
    _check_typed(params, method, request.run.preset or file.preset, file)
    changes = {
        "preset": request.run.preset or file.preset,
        "params": {**file.params, **params},
        "options": {**file.options, **own},
        "trials": request.trials or file.trials,
        "seeds": request.run.seeds or file.seeds,
    }
    loaded = replace(loaded, file=file.model_copy(update=changes))
    base = base_of(loaded, method)
    space = space_of(loaded, method, base)
    for one in file.objectives:
        _check_objective(one, loaded)
    settings = [f"method.{key}={json.dumps(value)}" for key, value in loaded.file.params.items()]
    settings += [f"dataset.{key}={json.dumps(value)}" for key, value in loaded.file.options.items()]
    wanted = ":".join(filter(None, (name, options)))
    spec = plan(
        replace(
            request.run,
            method=file.method,
            dataset=wanted,
            preset=loaded.file.preset,
            settings=tuple(settings),
            seeds=(file.seed,),
        )
    )[0]
    return Tuned(loaded, spec, space, space.published(base))


def _check_typed(typed: Mapping[str, Any], method: type[Method], preset: str, file: SweepFile) -> None:
    """Refuse a `--set` that is not legal, or that fixes what the file searches, before the file gets the blame."""
    resolve(method, preset, typed)
    symbols = symbols_of(method.Params)
    searched = {symbols.get(name, name) for name in file.space or {}}
    for name in typed:
        if name in searched:
            what = f"--set {name}: the sweep searches {name}, so it cannot be fixed too"
            raise ConfigError(what, fix="leave it out, or take it out of the `space` of a copy of the file")


def _check_objective(one: Objective, loaded: LoadedSweep) -> None:
    """Refuse a metric that nothing measures, and one that is to be made worse."""
    import difflib

    place = next(number for number, other in enumerate(loaded.file.objectives) if other == one)
    keys = ("objectives", place) if ("objectives",) in loaded.lines else ("objective",)
    if one.metric.startswith(OTHER_NUMBERS):
        best = "minimize"
    elif one.metric in METRICS:
        best = {"up": "maximize", "down": "minimize", "none": ""}[METRICS[one.metric].direction]
    else:
        close = difflib.get_close_matches(one.metric, METRICS, n=3, cutoff=0.5)
        hint = f"; the nearest: {', '.join(close)}" if close else "; expected a metric, or cost/seconds, labels/…"
        raise loaded.error(f"no metric is called {one.metric!r}{hint}", *keys, "metric")
    if best != one.direction:
        better = {"maximize": "more of it is better", "minimize": "less of it is better", "": "it has no better side"}
        raise loaded.error(f"{one.metric} is not to be tuned that way: {better[best]}", *keys, "direction")
