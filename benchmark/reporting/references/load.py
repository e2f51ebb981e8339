"""Read, check and flatten the files of published numbers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import ConfigError
from benchmark.near_names import did_you_mean, near_names
from benchmark.reporting.references.parse import EXAMPLE, FOLDER, parse
from benchmark.reporting.references.reference import Reference

if TYPE_CHECKING:
    from benchmark.reporting.references.schema import Entry, PaperFile, Table

OTHER = "other/"
"""Metrics that the suite does not compute stand under this and their printed name; they are shown, never compared."""


def references(file: Path | None = None) -> tuple[Reference, ...]:
    """All shipped numbers, papers by file name and rows as printed, then those of the user's own `file`.

    Raises:
        ConfigError: a file that cannot be read, a field that is unknown, missing or of the wrong kind, a metric that
            does not exist, a value outside the range of its metric, or a number that is there twice.
    """
    shipped = _shipped()
    return shipped if file is None else _merge(shipped, file)


@cache
def _shipped() -> tuple[Reference, ...]:
    found: tuple[Reference, ...] = ()
    for path in sorted(FOLDER.glob("*.yaml")):
        found = _merge(found, path)
    return found


def _merge(known: tuple[Reference, ...], path: Path) -> tuple[Reference, ...]:
    seen = {reference.place for reference in known}
    own = tuple(_flatten(parse(path), path))
    for reference in own:
        if reference.place in seen:
            msg = f"{path}: {reference.place} is there twice, in this file or in the shipped ones"
            raise ConfigError(msg, fix="remove one, or give the row or the table a name of its own")
        seen.add(reference.place)
    return known + own


def _flatten(content: PaperFile, path: Path) -> Iterator[Reference]:
    for table in content.tables:
        for row in table.rows:
            for metric in row.values:
                where = f"{path}: {table.id} ({table.dataset_title}), row {row.label!r}, {metric}"
                _check(table, row, metric, where)
                yield _reference(content.paper.name, table, row, metric)


def _reference(paper: str, table: Table, row: Entry, metric: str) -> Reference:
    value = row.values[metric]
    return Reference(
        paper=paper,
        source=table.id,
        label=row.label,
        method=row.method,
        dataset=table.dataset,
        dataset_title=table.dataset_title,
        subset=table.subset,
        metric=metric,
        value=value.value,
        spread=value.spread,
        interval=value.interval,
        protocol="; ".join(filter(None, (table.protocol, row.protocol))),
        supervision=row.supervision,
        quoted="" if row.quoted is None else row.quoted.text,
        note="; ".join(filter(None, (table.note, table.metrics[metric].note, row.note, value.note))),
    )


def _check(table: Table, row: Entry, metric: str, where: str) -> None:
    from benchmark.metrics.catalogue import METRICS

    if metric not in table.metrics:
        listed = ", ".join(table.metrics)
        raise ConfigError(f"{where}: not among the table's `metrics` ({listed})", fix=f"add {metric}: <printed name>")
    value = row.values[metric]
    low, high = value.interval or (value.value, value.value)
    if not low <= value.value <= high:
        raise ConfigError(f"{where} = {value.value:g} is outside its own interval [{low:g}, {high:g}]", fix=EXAMPLE)
    if metric.startswith(OTHER) and metric.removeprefix(OTHER).strip():
        return
    if metric not in METRICS:
        hint = did_you_mean(near_names(metric, METRICS)) or f"write {OTHER}<printed name> where the suite has none"
        raise ConfigError(f"{where}: there is no such metric; {hint}", fix=EXAMPLE)
    least, most = METRICS[metric].range
    if low < least or high > most:
        unit = METRICS[metric].unit
        hint = (
            f"write {value.value:g} % as {value.value / 100:g}"
            if unit == "share" and 1 < value.value <= 100
            else EXAMPLE
        )
        raise ConfigError(f"{where} = {value.value:g} is outside [{least:g}, {most:g}] ({unit})", fix=hint)
