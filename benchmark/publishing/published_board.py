"""A published board that was read: its runs as a store would have them, and their tables as artifacts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from benchmark.csv_text import csv_text
from benchmark.publishing.board_form import ORIGIN, Manifest, PublishedRun
from benchmark.stored import PER_SLIDE, UNIT_COLUMNS, UNITS, Artifacts, StoredRun

if TYPE_CHECKING:
    from pyarrow import Table


@dataclass(frozen=True)
class PublishedBoard:
    """A published board that was read whole and found in order. `origin`: by what name its rows are marked."""

    folder: Path
    origin: str
    manifest: Manifest
    records: tuple[PublishedRun, ...]
    numbers: Table
    slides: Table
    units: Table

    def stored(self, metrics: Collection[str] | None = None) -> list[StoredRun]:
        """The runs as a store would have them, marked by the tag `ORIGIN`.

        `metrics`: names, or prefixes that end in `/`; None for all.
        """
        return [self._stored(run, metrics) for run in self.records]

    def slide_rows(self, run: str) -> list[dict[str, Any]]:
        """The table per slide of a run, without the columns in which it has nothing."""
        rows = self._rows(self.slides, run)
        kept = [name for name in self.slides.column_names if any(row[name] is not None for row in rows)]
        return [{name: row[name] for name in kept if name != "run"} for row in rows]

    def unit_rows(self, run: str) -> list[dict[str, Any]]:
        """The test units of a run; a score is None where it is not a number."""
        return self._rows(self.units, run)

    def _stored(self, run: PublishedRun, metrics: Collection[str] | None) -> StoredRun:
        prefixes = tuple(name for name in metrics or () if name.endswith("/"))
        chosen = {
            name: value
            for name, value in self._by_run.get(run.id, {}).items()
            if metrics is None or name in metrics or (prefixes and name.startswith(prefixes))
        }
        tags = {**{f"bench.{name}": value for name, value in run.tags.items()}, ORIGIN: self.origin}
        return StoredRun(
            id=run.id,
            name=run.name,
            status="FINISHED",
            metrics=chosen,
            params=dict(run.settings),
            tags=tags,
            artifact_uri="",
            experiment=run.experiment,
            ended=run.ended,
            started=run.started,
        )

    @cached_property
    def _by_run(self) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        columns = (self.numbers[name].to_pylist() for name in ("run", "name", "value"))
        for run, name, value in zip(*columns, strict=True):
            found.setdefault(run, {})[name] = value
        return found

    def _rows(self, table: Table, run: str) -> list[dict[str, Any]]:
        from pyarrow import compute

        rows: list[dict[str, Any]] = table.filter(compute.equal(table["run"], run)).to_pylist()
        return rows


class BoardArtifacts:
    """The tables of published runs as the files that a store keeps; all else is asked of the store's own artifacts.

    As a context manager it deletes the files that it made.
    """

    def __init__(self, boards: Sequence[PublishedBoard], others: Artifacts | None = None) -> None:
        self._boards = {board.origin: board for board in boards}
        self._others = others
        self._made = tempfile.TemporaryDirectory(prefix="bench-published-", ignore_cleanup_errors=True)

    def __enter__(self) -> BoardArtifacts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._made.cleanup()

    def fetch(self, run: StoredRun, path: str) -> list[Path]:
        """See `benchmark.stored.Artifacts`; of a published run there are `PER_SLIDE` and `UNITS`."""
        board = self._boards.get(run.tags.get(ORIGIN, ""))
        if board is None:
            return [] if self._others is None else self._others.fetch(run, path)
        if path not in (PER_SLIDE, UNITS):
            return []
        file = Path(self._made.name) / run.id / path
        if not file.exists():
            text = _per_slide(board.slide_rows(run.id)) if path == PER_SLIDE else _units(board.unit_rows(run.id))
            if text is None:
                return []
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="")
        return [file]


def _per_slide(rows: Sequence[dict[str, Any]]) -> str | None:
    if not rows:
        return None
    columns = list(rows[0])
    return json.dumps({"columns": columns, "data": [[row[name] for name in columns] for row in rows]})


def _units(rows: Sequence[dict[str, Any]]) -> str | None:
    if not rows:
        return None
    from pandas import DataFrame

    told = [{**row, "score": "" if row["score"] is None else repr(row["score"])} for row in rows]
    return csv_text(DataFrame(told, columns=list(UNIT_COLUMNS)))
