"""From a request to its runs, fully resolved."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from benchmark import config
from benchmark.class_map import read_map
from benchmark.config import RunFile, RunRequest, RunSpec, Variant
from benchmark.dataset import Dataset
from benchmark.errors import ConfigError
from benchmark.method import Method
from benchmark.plain_yaml import read_yaml
from benchmark.registry import Registry, datasets, methods
from benchmark.reporting.command import CALIBRATED
from benchmark.run_target import Target, require_target, target_data
from benchmark.running.budgeted import chosen_budgets, with_budget
from benchmark.setting_faults import refuse_features, refuse_unknown

ALL = "all"
SYNTHETIC_SEED, TARGET_SEED = 0, 1


def plan(request: RunRequest) -> list[RunSpec]:
    """Every (method, dataset, seed) of the request, resolved. Raises `ConfigError` before anything runs."""
    file = config.read_file(request.config) if request.config else RunFile()
    chosen_methods = _variants(request.method or file.method, "method", methods())
    chosen_datasets = _variants(request.dataset or file.dataset, "dataset", datasets())
    grid = config.named_once(map(config.read_grid, request.settings))
    pairs = [
        (one, methods().load(one.name), other, datasets().load(other.name))
        for other in chosen_datasets
        for one in chosen_methods
    ]
    _refuse_unknown(grid, pairs)
    _refuse_features(grid, file, pairs)
    _check_device(request.device or file.device or "auto")
    seeds = request.seeds or ((file.seed,) if file.seed is not None else (0,))
    points = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    target = _target(request, file)
    _refuse_slides(request, (request.data or file.data, target.data if target else None))
    specs = [_resolve(request, file, point, *pair) for pair in pairs for point in points]
    budgets = chosen_budgets(request, file)
    seeded = [
        replace(with_budget(spec, *budget), seed=seed)
        for spec in _distinct(specs)
        for budget in budgets
        for seed in seeds
    ]
    if target is None:
        return seeded
    # A file repeats the one run that wrote it; its own test part is another run.
    own = seeded if request.test is not None else []
    return [*own, *(_tested_elsewhere(spec, target) for spec in seeded)]


def _target(request: RunRequest, file: RunFile) -> Target | None:
    """The other dataset to test on, resolved; None for none. Raises `ConfigError`."""
    require_target(request.test, data=request.test_data, classes=request.class_map, as_is=request.as_is)
    if request.test is None:
        if file.test is None:
            return None
        kind, options = datasets().load(file.test.dataset), file.test.options
        chosen = config.validated(kind.Options, options, file.test.dataset)
        classes, as_is = tuple(file.test.classes.items()), file.test.scale == "as-is"
        return Target(file.test.dataset, chosen, file.test.data, classes, as_is, _typed(file.test.dataset, chosen))
    variants = config.read_variants(request.test, datasets().names())
    if len(variants) != 1:
        raise ConfigError(f"--test {request.test} names {len(variants)} datasets", fix="one --test for each command")
    (variant,) = variants
    chosen = config.validated(datasets().load(variant.name).Options, variant.settings, variant.name)
    data = target_data(variant.name, request.test_data, request.data or file.data)
    classes = read_map(request.class_map)
    return Target(variant.name, chosen, data, classes, request.as_is, _typed(variant.name, chosen))


def _typed(name: str, options: BaseModel) -> str:
    """A dataset with the options that were set, as it is typed: `slides:mpp=0.25`."""
    usual = _defaults(type(options))
    return ":".join([name, *(f"{key}={_word(value)}" for key, value in options if value != usual[key])])


def _tested_elsewhere(spec: RunSpec, target: Target) -> RunSpec:
    if spec.slide:
        raise ConfigError(f"both --slide {spec.slide} and --test are given", fix="drop --slide")
    return replace(spec, target=target, settings=" ".join(filter(None, (spec.settings, target.settings))))


def _distinct(specs: list[RunSpec]) -> list[RunSpec]:
    """Each run once: a method without a grid's parameter would come once per value."""
    found: list[RunSpec] = []
    for spec in specs:
        if spec not in found:
            found.append(spec)
    return found


def _check_device(device: str) -> None:
    """Refuse a misspelt device early; whether it exists is checked later."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        msg = f"--device {device}: expected auto, cpu, cuda or cuda:N"
        raise ConfigError(msg, fix="bench doctor shows what there is")


def left_out(request: RunRequest) -> list[str]:
    """Why components are not among those that the request names with `all`: they cannot be loaded."""
    file = config.read_file(request.config) if request.config else RunFile()
    asked = ((request.method or file.method, methods()), (request.dataset or file.dataset, datasets()))
    return [reason for text, registry in asked if text == ALL for reason in registry.broken().values()]


def _variants(text: str | None, what: str, registry: Registry[Any]) -> list[Variant]:
    if not text:
        raise ConfigError(f"no {what} is given", fix=f"bench run --{what} NAME (bench list shows the names)")
    broken = registry.broken() if text == ALL else {}
    return config.read_variants(text, [name for name in registry.names() if name not in broken])


def _refuse_unknown(
    settings: dict[str, Any], pairs: list[tuple[Variant, type[Method], Variant, type[Dataset]]]
) -> None:
    config.refuse_ambiguous(settings, [method for _, method, _, _ in pairs], [dataset for *_, dataset in pairs])
    unknown: set[str] | None = None
    for _, method, _, dataset in pairs:
        missing = set(config.share_settings(settings, method, dataset)[2])
        unknown = missing if unknown is None else unknown & missing
    if unknown:
        models = {owner.name: model for _, method, _, dataset in pairs for owner, model in _models(method, dataset)}
        raise refuse_unknown(sorted(unknown)[0], models)


def _refuse_features(
    grid: Mapping[str, Any], file: RunFile, pairs: list[tuple[Variant, type[Method], Variant, type[Dataset]]]
) -> None:
    """Name all methods at once that cannot use features made elsewhere, and those of the request that can."""
    if "method.features" not in grid and "features" not in file.params:
        return
    takes = {one.label: "features" in method.Params.model_fields for one, method, _, _ in pairs}
    without = [label for label, able in takes.items() if not able]
    if without:
        raise refuse_features(without, [label for label, able in takes.items() if able])


def _models(method: type[Method], dataset: type[Dataset]) -> list[tuple[Any, Any]]:
    return [(method, method.Params), (dataset, dataset.Options)]


def _resolve(
    request: RunRequest,
    file: RunFile,
    settings: dict[str, Any],
    one: Variant,
    method: type[Method],
    other: Variant,
    dataset: type[Dataset],
) -> RunSpec:
    given, set_options, _ = config.share_settings(settings, method, dataset)
    config.refuse_overridden(one, config.by_field(method.Params, one.settings), given)
    config.refuse_overridden(other, other.settings, set_options)
    preset = request.preset or file.preset or config.default_preset(method)
    params = config.resolve(method, preset, file.params, one.settings, given)
    options = config.validated(dataset.Options, {**file.options, **other.settings, **set_options}, other.name)
    refit = request.refit or file.refit
    if refit and not method(params).refits():
        what = f"{one.name} needs validation slides with these parameters, so it cannot be fitted on them too"
        raise ConfigError(what, fix="drop --refit")
    slide = request.slide or file.slide
    if slide and not method(params).transductive():
        msg = f"{one.name} learns from training slides with these parameters, and --slide leaves none"
        raise ConfigError(msg, fix="drop --slide, or --set search=slide for methods that have it")
    calibrate = request.calibrate or file.calibrate
    if calibrate and refit:
        what = "--calibrate fits temperatures on validation slides, and --refit leaves none"
        raise ConfigError(what, fix="drop one of the two")
    slides = request.slides or file.slides
    if slides and slide:
        raise ConfigError(f"both --slide {slide} and --slides {slides} are given", fix="use one of them")
    return RunSpec(
        method=one.name,
        params=params,
        dataset=other.name,
        options=options,
        preset=preset,
        seed=0,
        device=request.device or file.device or "auto",
        data=request.data or file.data,
        synthetic_slides=_slides(request.synthetic_slides) or file.synthetic_slides or config.SYNTHETIC_SLIDES,
        variant=" ".join(filter(None, (label_of(params, config.resolve(method, preset)), CALIBRATED * calibrate))),
        refit=refit,
        settings=" ".join(
            filter(
                None,
                (
                    label_of(options, _defaults(dataset.Options)),
                    f"slide={slide}" * bool(slide),
                    f"slides-drawn={slides}" * bool(slides),
                ),
            )
        ),
        slide=slide,
        slides=slides,
        calibrate=calibrate,
        expected_data=file.provenance.get("data_digest"),
    )


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    return {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()}


def label_of(chosen: BaseModel, usual: BaseModel | Mapping[str, Any]) -> str:
    """The fields that differ from the usual ones, so that equal runs have one name however they were requested."""
    before = dict(usual)
    return " ".join(f"{name}={_word(value)}" for name, value in chosen if value != before[name])


def _word(value: Any) -> str:
    """A value as typed after `--set name=`."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_word, value))}]"
    text = str(value)
    if not isinstance(value, str | Path):
        return text
    if " " in text and "=" in text:  # a blank ends a setting where `name=` follows
        return json.dumps(text, ensure_ascii=False).replace(" ", "\\u0020")
    return json.dumps(text, ensure_ascii=False) if "," in text or not _reads_as(text, text) else text


def _reads_as(text: str, value: str) -> bool:
    try:
        return bool(read_yaml(text) == value)
    except yaml.YAMLError:
        return False


def _refuse_slides(request: RunRequest, places: tuple[str | None, ...]) -> None:
    """Raise `ConfigError` for the size of a miniature where all data are real."""
    if request.synthetic_slides is not None and config.SYNTHETIC not in places:
        what = f"--synthetic-slides {request.synthetic_slides} has no effect without --data {config.SYNTHETIC}"
        raise ConfigError(what, fix="drop it; --slides N takes a few slides of real data")


def _slides(number: int | None) -> int | None:
    if number is not None and number < config.FEWEST_SYNTHETIC:
        msg = f"--synthetic-slides {number}: expected at least {config.FEWEST_SYNTHETIC}, some for each split"
        raise ConfigError(msg, fix=f"--synthetic-slides {config.SYNTHETIC_SLIDES}")
    return number
