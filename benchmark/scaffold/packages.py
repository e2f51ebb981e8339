"""The files of a new package, from the templates, and writing them whole or not at all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from benchmark.errors import ConfigError

Kind = Literal["method", "dataset", "encoder", "sweep"]
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def package_files(kind: Literal["method", "dataset"], name: str) -> dict[str, str]:
    """File name → text of a package that registers a method or a dataset. Raises `ConfigError` for a bad name."""
    return _package(kind, name, {})


def encoder_files(name: str, architecture: str) -> dict[str, str]:
    """File name → text of a package that registers an encoder, a network of timm with weights of one's own.

    Width and transform are those that timm states for the architecture. Raises `ConfigError` for a bad name, an
    architecture that timm does not know, or one without features of a patch.
    """
    from benchmark.learning.encoders.architecture import stated_by_timm
    from benchmark.learning.encoders.encoder_names import OWN, timm_names

    if name in OWN or name in timm_names():
        raise ConfigError(f"{name!r} is a network's name already", fix="choose a name of your own, such as our-" + name)
    return _package("encoder", name, {"architecture": architecture, **stated_by_timm(architecture)})


def _package(kind: Kind, name: str, more: Mapping[str, object]) -> dict[str, str]:
    require_name(name)
    module = f"bench_{name.replace('-', '_')}"
    class_name = "".join(part.capitalize() for part in name.split("-"))
    title = name.replace("-", " ").capitalize()
    values = {"name": name, "module": module, "class_name": class_name, "title": title, **more}
    return {
        "pyproject.toml": _rendered(kind, "pyproject.toml", values),
        f"{module}.py": _rendered(kind, "module.py", values),
        f"test_{module}.py": _rendered(kind, "test.py", values),
    }


def sweep_files(method: str, dataset: str, metric: str, folder: str) -> dict[str, str]:
    """File name → text of a sweep over what the method's authors chose, with its test.

    Raises `BenchError` for an unknown method, dataset or metric, or a method without a range to search.
    """
    from benchmark.config import default_preset, resolve
    from benchmark.metrics.catalogue import METRICS
    from benchmark.registry import datasets, methods
    from benchmark.tuning.declared_space import derived_space

    kind = methods().load(method)
    datasets().entry(dataset)
    if metric not in METRICS or METRICS[metric].direction == "none":
        raise ConfigError(f"--metric {metric}: no metric of that name has a best end", fix="--metric pixel/miou")
    space = derived_space(kind, resolve(kind, default_preset(kind)))
    values = {
        "method": method,
        "name": method,
        "dataset": dataset,
        "folder": folder,
        "metric": metric,
        "direction": "maximize" if METRICS[metric].direction == "up" else "minimize",
        "space": [f"{dimension.name}: {{{_declared(dimension.facts())}}}" for dimension in space],
    }
    test = f"test_sweep_{method.replace('-', '_')}.py"
    return {f"{method}.yaml": _rendered("sweep", "sweep.yaml", values), test: _rendered("sweep", "test.py", values)}


def require_name(name: str) -> None:
    """Raise `ConfigError` unless a component may be called so, and none is yet."""
    from benchmark.registry import datasets, encoders, methods

    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be a name: expected a-z, 0-9 and single hyphens, as in my-method")
    if name in methods() or name in datasets() or name in encoders():
        raise ConfigError(f"{name!r} is registered already", fix="bench list")


def write_package(folder: Path, files: Mapping[str, str]) -> None:
    """Write all files into a new folder, or none. Raises `ConfigError` when it is there already."""
    if folder.exists():
        raise ConfigError(f"{folder} is there already", fix="choose another with --out DIR")
    unfinished = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name, text in files.items():
        (unfinished / name).write_text(text, encoding="utf-8")
    unfinished.rename(folder)


def _declared(facts: Mapping[str, object]) -> str:
    """A dimension as a sweep file writes it: `type: float, low: 0.1, high: 0.8`."""
    import json

    if facts["choices"]:
        return f"type: categorical, choices: {json.dumps(facts['choices'])}"
    distribution = facts["distribution"]
    assert isinstance(distribution, Mapping)
    ends = distribution["attributes"]
    kind = "int" if distribution["name"].startswith("Int") else "float"
    words = [f"type: {kind}", f"low: {ends['low']!r}", f"high: {ends['high']!r}"]
    words += ["log: true"] if ends["log"] else []
    words += [f"step: {ends['step']!r}"] if ends["step"] not in (None, 1) else []
    return ", ".join(words)


def _rendered(kind: Kind, file: str, values: Mapping[str, object]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("benchmark.scaffold", "templates"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(f"{kind}/{file}.jinja").render(values)
