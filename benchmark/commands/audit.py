"""`bench audit`: leaks and gaps of a dataset."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.commands import complete
from benchmark.commands.options import DataRoot
from benchmark.registry import datasets, methods

if TYPE_CHECKING:
    from pydantic import BaseModel

    from benchmark.audit import AuditReport
    from benchmark.dataset import Dataset
    from benchmark.method import Method

EXAMPLES = """\
Examples:

\b
  bench audit glas --data /data/glas
  bench audit glas --data /data/glas --set protocol=patient
  bench audit camelyon16 --data synthetic --method lcmil
  bench audit glas --data /data/glas --format json --strict

The pixel digests of tiles are cached; --full compares every byte and decodes all tiles again.
"""


class Format(StrEnum):
    """How the audit is printed."""

    table = "table"
    json = "json"


def audit(
    name: Annotated[
        str,
        typer.Argument(
            metavar="DATASET", help="A dataset (bench list datasets).", autocompletion=complete.dataset_name
        ),
    ],
    data: DataRoot = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A dataset option, or a parameter of --method; repeatable.",
            autocompletion=complete.setting,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Also audit the encoders of this method.", autocompletion=complete.any_name),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Preset of --method. Default: quick.", autocompletion=complete.preset),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Compare every byte, decode all tiles again.")] = False,
    form: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.table,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 2 if there are warnings.")] = False,
) -> None:
    """Check for leaks between splits, missing slides, and encoders that have seen the data."""
    from benchmark.audit import audit as examine
    from benchmark.audit import declared_encoders
    from benchmark.cachehome import cache_home
    from benchmark.commands.printing import aside

    kind = datasets().load(name)
    owner = methods().load(method) if method is not None else None
    options, params = _resolve(settings or [], kind, owner, preset)
    with aside("comparing the splits"):
        dataset = _open(kind, options, data)
        encoders = declared_encoders(owner(params)) if owner is not None and params is not None else ()
        report = examine(dataset, encoders=encoders, full=full, cache=cache_home())
    if form is Format.json:
        facts = {"dataset": name, "root": str(dataset.root), "synthetic": dataset.synthetic, **report.facts()}
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _print(name, dataset, report)
    if strict and not report.ok:
        raise typer.Exit(2)


def _resolve(
    settings: list[str], dataset: type[Dataset], method: type[Method] | None, preset: str | None
) -> tuple[BaseModel, BaseModel | None]:
    """The options of the dataset and the parameters of the method. Raises `ConfigError` for a name neither has."""
    from benchmark import config
    from benchmark.errors import ConfigError
    from benchmark.setting_faults import refuse_unknown

    given = config.named_once(map(config.read_setting, settings))
    values: dict[str, Any] = {}
    if method is not None:
        values, own, unknown = config.share_settings(given, method, dataset)
    elif preset is not None:
        raise ConfigError(f"--preset {preset}: a preset belongs to a method", fix="--method NAME")
    else:
        own = config.named_once((key.removeprefix("dataset."), value) for key, value in given.items())
        unknown = [key for key in own if key not in dataset.Options.model_fields]
    if unknown:
        models = {dataset.name: dataset.Options} | ({method.name: method.Params} if method is not None else {})
        raise refuse_unknown(unknown[0], models)
    options = config.validated(dataset.Options, own, dataset.name)
    if method is None:
        return options, None
    return options, config.resolve(method, preset or config.default_preset(method), values)


def _open(kind: type[Dataset], options: BaseModel, data: str | None) -> Dataset:
    from benchmark.cachehome import cache_home
    from benchmark.config import SYNTHETIC, SYNTHETIC_SLIDES
    from benchmark.datahome import find_root
    from benchmark.running.plan import SYNTHETIC_SEED
    from benchmark.running.synthetic import synthetic_root

    if data == SYNTHETIC:
        return kind(synthetic_root(kind, cache_home(), slides=SYNTHETIC_SLIDES, seed=SYNTHETIC_SEED), options)
    return kind(find_root(kind.name, data), options)


def _print(name: str, dataset: Dataset, report: AuditReport) -> None:
    from rich.table import Table
    from rich.text import Text

    from benchmark.commands.printing import MARKS, console

    marks = {**MARKS, False: ("WARN", "bold red")}
    out = console()
    place = f"  {dataset.root}{'  (synthetic)' if dataset.synthetic else ''}"
    out.print(Text.assemble((name, "bold"), place), soft_wrap=True)
    lines = Table.grid(padding=(0, 1))
    for finding in report.findings:
        lines.add_row(Text(*marks[finding.ok]), Text(finding.check, style="dim"), Text(finding.text))
    out.print(lines)
    out.print(Text(report.tag, "green" if report.ok else "red"))
