"""What is refused from the command line, the registry and the file system alone, before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmark.budgets.budget import read_budgets
from benchmark.config import (
    SYNTHETIC,
    RunFile,
    RunRequest,
    Variant,
    read_file,
    read_grid,
    read_variants,
)
from benchmark.datahome import find_root
from benchmark.errors import ConfigError
from benchmark.learning.encoders.encoder_names import check_encoder
from benchmark.registry import Registry, datasets, methods
from benchmark.run_target import require_target, target_data

OWN = "histobench"
ENCODERS = ("encoder", "cls_backbone", "seg_backbone")
"""Parameters that name an encoder in every method of this distribution; a plug-in's may mean anything."""


def refuse_early(request: RunRequest) -> None:
    """Raise for unknown methods, datasets and encoders, and where the only dataset has no data.

    The plan and the survey check all of this again, with the methods loaded. Raises `BenchError`.
    """
    require_target(request.test, data=request.test_data, classes=request.class_map, as_is=request.as_is)
    file = read_file(request.config) if request.config else RunFile()
    if request.budget or file.budget:
        read_budgets(request.budget or file.budget or "")
    chosen = _named(request.method or file.method, methods())
    places = _named(request.dataset or file.dataset, datasets())
    others = _named(request.test, datasets())
    for name, key, encoder in _encoders(request, file, chosen):
        try:
            check_encoder(encoder)
        except ValueError as error:
            raise ConfigError(f"{name}: {key} = {encoder!r} is not legal: {error}", fix="bench list encoders") from None
    data = request.data or file.data
    if len(places) == 1 and request.dataset != "all" and data != SYNTHETIC:
        find_root(places[0].name, data)
    for other in others[:1]:
        if (beside := target_data(other.name, request.test_data, data)) != SYNTHETIC:
            find_root(other.name, beside)


def _named(text: str | None, registry: Registry[Any]) -> list[Variant]:
    variants = read_variants(text, registry.names()) if text else []
    for variant in variants:
        registry.entry(variant.name)
    return variants


def _encoders(request: RunRequest, file: RunFile, chosen: list[Variant]) -> Iterator[tuple[str, str, str]]:
    """Every (method, parameter, encoder) that is asked for by name."""
    typed = [(key.removeprefix("method."), value) for key, value in map(read_grid, request.settings)]
    typed += [(key, [value]) for key, value in file.params.items()]
    for variant in chosen:
        if methods().entry(variant.name).distribution != OWN:
            continue
        for key, values in [*typed, *((key, [value]) for key, value in variant.settings.items())]:
            yield from ((variant.name, key, value) for value in values if key in ENCODERS and isinstance(value, str))
