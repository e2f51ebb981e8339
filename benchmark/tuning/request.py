"""What `bench sweep` is asked to do, resolved: the file, the method and dataset, the space, the study's identity."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmark.config import (
    PUBLISHED_PRESET,
    RunRequest,
    RunSpec,
    Variant,
    named_once,
    read_setting,
    read_variants,
    refuse_overridden,
    resolve,
    share_settings,
    symbols_of,
)
from benchmark.errors import ConfigError
from benchmark.identity import facts_of
from benchmark.method import Method
from benchmark.registry import datasets, methods
from benchmark.running.job import OpenData
from benchmark.running.plan import plan
from benchmark.tuning.goals import check_constraint, check_objective, joined, read_constraints, slidewise_pruner
from benchmark.tuning.space import Space
from benchmark.tuning.sweep_file import SweepFile
from benchmark.tuning.sweep_reader import LoadedSweep, read_sweep, sweep_path
from benchmark.tuning.written_space import base_of, space_of


@dataclass(frozen=True)
class SweepRequest:
    """The command line. None: as the sweep file says."""

    sweep: str
    run: RunRequest
    """Preset, settings, device, data, store, cache, jobs, memory; its timeout is that of one trial."""
    study: str | None = None
    storage: str | None = None
    trials: int | None = None
    timeout: str | None = None
    test: bool = True
    subject_to: Sequence[str] = ()
    """Constraints as text, `image/sensitivity>=0.95`, beside those of the file."""
    patience: int | None = None
    """0: none."""
    overlays: int = 0
    """Of how many validation slides every trial keeps a picture."""


@dataclass(frozen=True)
class Sweep:
    """A sweep of one method on one dataset. `spec` is the first trial's run: the preset with the fixed `params`."""

    loaded: LoadedSweep
    spec: RunSpec
    space: Space
    published: Mapping[str, Any]
    by_default: bool = False
    """Neither the file nor the command line names a preset."""

    @property
    def file(self) -> SweepFile:
        """The sweep file, overridden by the command line."""
        return self.loaded.file

    @property
    def start(self) -> str:
        """The first trial's name: `published` only where the preset is the paper's, unchanged."""
        if self.spec.preset == PUBLISHED_PRESET and not self.file.params:
            return "published"
        return f"preset {self.spec.preset}{' with params' if self.file.params else ''}"

    def facts(self, data: OpenData) -> dict[str, Any]:
        """All that the trials of a study have in common, as plain JSON: other facts make another study."""
        return {
            "method": self.spec.method,
            "dataset": self.spec.place,
            "preset": self.spec.preset,
            "settings": {name: value for name, value in facts_of(self.spec.params).items() if name not in self.space},
            "data": data.identity,
            "objectives": [[objective.metric, objective.direction] for objective in self.file.objectives],
            "space": self.space.facts(),
            "published": dict(self.published),
            "sampler": self.file.sampler.model_dump(mode="json"),
            "pruner": self.file.pruner.facts(),
            "seed": self.file.seed,
            **({"constraints": [bound.facts() for bound in self.file.constraints]} if self.file.constraints else {}),
        }

    def name(self, synthetic: bool) -> str:
        """The study's default name."""
        place = self.spec.place.replace(" ", "-")
        return "-".join([self.loaded.name, place, *(["synthetic"] if synthetic else []), self.spec.preset])


def resolve_sweep(request: SweepRequest) -> Sweep:
    """Read the sweep file, override it by the command line, and check the whole. Raises `ConfigError`."""
    loaded = read_sweep(sweep_path(request.sweep))
    file = loaded.file
    dataset = request.run.dataset or file.dataset
    if dataset is None:
        message = f"{loaded.path} names no dataset"
        raise ConfigError(message, fix=f"bench sweep {request.sweep} --dataset NAME   # bench list shows them")
    method = methods().load(file.method)
    variant = _single(dataset)
    name, place = variant.name, datasets().load(variant.name)
    given = named_once(map(read_setting, request.run.settings))
    params, own, unknown = share_settings(given, method, place)
    if unknown:
        message = f"--set {unknown[0]}: neither {file.method} nor {name} has a field of that name"
        raise ConfigError(message, fix=f"bench info {file.method}")
    refuse_overridden(variant, variant.settings, own)
    _check_settings(params, method, request.run.preset or file.preset, file)
    changes = {
        "preset": request.run.preset or file.preset,
        "params": {**file.params, **params},
        "options": {**file.options, **variant.settings, **own},
        "trials": request.trials or file.trials,
        "seeds": request.run.seeds or file.seeds,
        "patience": file.patience if request.patience is None else request.patience or None,
    }
    loaded = replace(loaded, file=file.model_copy(update=changes))
    base = base_of(loaded, method)
    space = space_of(loaded, method, base)
    loaded = _with_goals(loaded, request)
    settings = [f"method.{key}={_word(value)}" for key, value in loaded.file.params.items()]
    settings += [f"dataset.{key}={_word(value)}" for key, value in loaded.file.options.items()]
    spec = plan(
        replace(
            request.run,
            method=file.method,
            dataset=name,
            preset=loaded.file.preset,
            settings=tuple(settings),
            seeds=(file.seed,),
        )
    )[0]
    by_default = request.run.preset is None and "preset" not in file.model_fields_set
    return Sweep(loaded, spec, space, space.published(base), by_default)


def _single(text: str) -> Variant:
    """The dataset of a sweep with the options typed beside it. Raises `ConfigError` unless there is exactly one."""
    variants = read_variants(text, datasets().names())
    if len(variants) != 1:
        raise ConfigError(f"--dataset {text} names {len(variants)} datasets", fix="one dataset for each sweep")
    return variants[0]


def _word(value: Any) -> str:
    """A value as `--set` reads it. YAML knows no pairs of surrogates, which JSON writes for an emoji."""
    return json.dumps(value, ensure_ascii=False)


def _with_goals(loaded: LoadedSweep, request: SweepRequest) -> LoadedSweep:
    """Check what the sweep is after, with the constraints of the command line and all that its pruner needs."""
    file = loaded.file
    for objective in file.objectives:
        check_objective(objective, loaded)
    for constraint in file.constraints:
        check_constraint(constraint, loaded)
    if file.patience is not None and len(file.objectives) > 1:
        raise ConfigError(f"--patience needs a single objective, there are {len(file.objectives)}", fix="--patience 0")
    pruner = slidewise_pruner(file.pruner, loaded) if file.pruner.kind == "wilcoxon" else file.pruner
    constraints = joined(file.constraints, read_constraints(request.subject_to))
    return replace(loaded, file=file.model_copy(update={"constraints": constraints, "pruner": pruner}))


def _check_settings(params: Mapping[str, Any], method: type[Method], preset: str, file: SweepFile) -> None:
    """Refuse a `--set` that is not legal or fixes a searched parameter; later the file would get the blame."""
    resolve(method, preset, params)
    symbols = symbols_of(method.Params)
    searched = {symbols.get(name, name) for name in file.space or {}}
    for name in params:
        if name in searched:
            message = f"--set {name}: the sweep searches {name}, so it cannot be fixed too"
            raise ConfigError(message, fix="leave it out, or remove it from the `space` of a copy of the file")
