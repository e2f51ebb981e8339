"""From what was asked for to the runs that are to be done."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from benchmark import config
from benchmark.config import RunFile, RunRequest, RunSpec, Variant
from benchmark.dataset import Dataset
from benchmark.errors import ConfigError
from benchmark.method import Method
from benchmark.registry import datasets, methods

SYNTHETIC_SLIDES = 24
SYNTHETIC_SEED = 0


def plan(request: RunRequest) -> list[RunSpec]:
    """Every (method, dataset, seed) of the request, fully resolved. Raises `ConfigError` before anything runs."""
    file = config.read_file(request.config) if request.config else RunFile()
    chosen_methods = _variants(request.method or file.method, "method", methods().names())
    chosen_datasets = _variants(request.dataset or file.dataset, "dataset", datasets().names())
    settings = dict(config.read_setting(text) for text in request.settings)
    pairs = [
        (one, methods().load(one.name), other, datasets().load(other.name))
        for other in chosen_datasets
        for one in chosen_methods
    ]
    _refuse_unknown(settings, pairs)
    _check_device(request.device or file.device or "auto")
    seeds = request.seeds or ((file.seed,) if file.seed is not None else (0,))
    specs = [_resolve(request, file, settings, *pair) for pair in pairs]
    return [replace(spec, seed=seed) for spec in specs for seed in seeds]


def _check_device(device: str) -> None:
    """Refuse a misspelt device before anything is loaded; whether it is there is known later."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        msg = f"--device {device}: expected auto, cpu, cuda or cuda:N"
        raise ConfigError(msg, fix="bench doctor shows what there is")


def _variants(text: str | None, what: str, known: list[str]) -> list[Variant]:
    if not text:
        raise ConfigError(f"no {what} was named", fix=f"bench run --{what} NAME (bench list shows the names)")
    return config.read_variants(text, known)


def _refuse_unknown(
    settings: dict[str, Any], pairs: list[tuple[Variant, type[Method], Variant, type[Dataset]]]
) -> None:
    unknown: set[str] | None = None
    for _, method, _, dataset in pairs:
        missing = set(config.share_settings(settings, method, dataset)[2])
        unknown = missing if unknown is None else unknown & missing
    if unknown:
        models = {owner.name: model for _, method, _, dataset in pairs for owner, model in _models(method, dataset)}
        raise config.refuse_unknown(sorted(unknown)[0], models)


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
    params, options, _ = config.share_settings(settings, method, dataset)
    preset = request.preset or file.preset or config.DEFAULT_PRESET
    return RunSpec(
        method=one.name,
        params=config.resolve(method, preset, file.params, one.settings, params),
        dataset=other.name,
        options=config.validated(dataset.Options, {**file.options, **other.settings, **options}, other.name),
        preset=preset,
        seed=0,
        device=request.device or file.device or "auto",
        data=request.data or file.data,
        synthetic_slides=request.synthetic_slides or file.synthetic_slides or SYNTHETIC_SLIDES,
        variant=_label(one, other, params, options),
        expected_data=file.provenance.get("data_digest"),
    )


def _label(one: Variant, other: Variant, params: dict[str, Any], options: dict[str, Any]) -> str:
    changed = {**one.settings, **params, **other.settings, **options}
    return " ".join(f"{key}={value}" for key, value in changed.items())
