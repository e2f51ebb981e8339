"""A quick way to read thousands of runs of a SQLite store.

MLflow's own search builds an object per metric, which takes a minute for five thousand runs. The tables that hold
runs, tags and latest metrics have been the same since MLflow 1; a store that lacks them is read through MLflow.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.stored import StoredRun
from benchmark.tracking.sqlite_file import reading

_BLOCK = 500
"""Keys asked for in one statement; SQLite takes 999 values."""


def trimmed(run: StoredRun, experiment: str, metrics: Collection[str] | None) -> StoredRun:
    """A run with its experiment, without parameters, with the wanted metrics: names, or prefixes that end in `/`."""
    prefixes = tuple(name for name in metrics or () if name.endswith("/"))
    chosen = {
        name: value
        for name, value in run.metrics.items()
        if metrics is None or name in metrics or (prefixes and name.startswith(prefixes))
    }
    tags = {name: value for name, value in run.tags.items() if name.startswith("bench.")}
    return replace(run, params={}, metrics=chosen, tags=tags, experiment=experiment)


def read_sqlite(
    path: Path,
    *,
    experiments: Sequence[str] | None = None,
    identities: Iterable[str] | None = None,
    metrics: Iterable[str] | None = None,
    beginning: str | None = None,
) -> list[StoredRun] | None:
    """The runs of a SQLite store that MLflow made, those that ended last first; None when its tables are unknown.

    Args:
        path: the database file; it is opened for reading only.
        experiments: names; None for all.
        identities: values of the tag `bench.identity`; None for all runs.
        metrics: names, or prefixes that end in `/`; None for all.
        beginning: of the ids of the runs; these are read with all their tags and parameters. None for all runs.

    Raises `TrackingError` when the file cannot be read.
    """
    with reading(path) as store:
        try:
            runs = _runs(store, experiments, beginning)
            if identities is not None:
                chosen = _identified(store, identities)
                runs = {number: run for number, run in runs.items() if number in chosen}
            everything = experiments is None and identities is None and beginning is None
            if beginning is not None:
                _fill(store, runs, "params", "1", [], everything)
            _fill(store, runs, "tags", "key LIKE 'bench.%'" if beginning is None else "1", [], everything)
            for where, values in _wanted(metrics):
                _fill(store, runs, "latest_metrics", where, values, everything)
        except sqlite3.OperationalError as error:
            if "no such" in str(error):
                return None
            raise
    return list(runs.values())


def _runs(store: sqlite3.Connection, experiments: Sequence[str] | None, beginning: str | None) -> dict[str, StoredRun]:
    columns = "r.run_uuid, r.name, r.status, r.artifact_uri, e.name, r.end_time, r.start_time"
    active = "r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active'"
    query = f"SELECT {columns} FROM runs r JOIN experiments e USING (experiment_id) WHERE {active}"
    values: list[str] = []
    if experiments is not None:
        query, values = f"{query} AND e.name IN ({_places(experiments)})", [*experiments]
    if beginning is not None:
        query, values = f"{query} AND substr(r.run_uuid, 1, ?) = ?", [*values, str(len(beginning)), beginning]
    query += " ORDER BY coalesce(r.end_time, 0) DESC, r.start_time DESC, r.run_uuid"
    found = store.execute(query, values)
    return {
        number: StoredRun(number, name or "", status, {}, {}, {}, uri or "", experiment, ended or 0, started or 0)
        for number, name, status, uri, experiment, ended, started in found
    }


def _identified(store: sqlite3.Connection, identities: Iterable[str]) -> set[str]:
    wanted = list(dict.fromkeys(identities))
    found: set[str] = set()
    for first in range(0, len(wanted), _BLOCK):
        block = wanted[first : first + _BLOCK]
        query = f"SELECT run_uuid FROM tags WHERE key = 'bench.identity' AND value IN ({_places(block)})"
        found.update(number for (number,) in store.execute(query, block))
    return found


def _wanted(metrics: Iterable[str] | None) -> list[tuple[str, list[str]]]:
    if metrics is None:
        return [("1", [])]
    names = list(dict.fromkeys(metrics))
    whole = [name for name in names if not name.endswith("/")]
    conditions = [
        (f"key IN ({_places(block)})", block)
        for block in (whole[first : first + _BLOCK] for first in range(0, len(whole), _BLOCK))
    ]
    # `0` is the character after `/`: a range, which the index serves, where LIKE would read the whole table.
    return conditions + [("key >= ? AND key < ?", [name, f"{name[:-1]}0"]) for name in names if name.endswith("/")]


def _fill(
    store: sqlite3.Connection, runs: dict[str, StoredRun], table: str, where: str, values: Sequence[str], all_: bool
) -> None:
    """Put tags, parameters or metrics into `runs`: from the whole table for many runs, run by run for few."""
    field = {"tags": "tags", "params": "params", "latest_metrics": "metrics"}[table]
    target: dict[str, dict[str, object]] = {number: getattr(run, field) for number, run in runs.items()}
    # MLflow keeps NaN as 0 with a mark beside it; 1e999 − 1e999 cannot be selected, so text stands for it.
    value_of = "CASE WHEN is_nan THEN 'nan' ELSE value END" if table == "latest_metrics" else "value"
    read = (lambda value: float(value)) if table == "latest_metrics" else (lambda value: value)
    if all_ or len(runs) > _BLOCK:
        for number, key, value in store.execute(f"SELECT run_uuid, key, {value_of} FROM {table} WHERE {where}", values):
            if number in target:
                target[number][key] = read(value)
        return
    for number, found in target.items():
        query = f"SELECT key, {value_of} FROM {table} WHERE run_uuid = ? AND {where}"
        found.update((key, read(value)) for key, value in store.execute(query, [number, *values]))


def _places(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))
