"""A finished result on its way to the tracking store: kept on disk first, so that no failure loses it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import TrackingError
from benchmark.running.scalars import Curves, scalars
from benchmark.running.states import NotStoredError
from benchmark.storage import whole_file
from benchmark.tracking.live import LiveRun

_NOTE = "delivery.json"


@dataclass(frozen=True)
class Delivery:
    """What the store is told of a finished run, beside the files of its folder. `numbers` have their stored names."""

    numbers: Mapping[str, float]
    tags: Mapping[str, str]
    note: str
    history: Sequence[tuple[str, float, int | None]]
    rows: Sequence[Mapping[str, Any]]


def keep(folder: Path, delivery: Delivery, home: Path) -> Delivery:
    """Put the result at `home`, whole or not at all; `folder`, which holds its files, is moved there."""
    if home.exists():
        shutil.rmtree(home)
    home.mkdir(parents=True)
    folder.rename(home / "artifacts")
    with whole_file(home / _NOTE, synced=True) as temporary:
        temporary.write_text(json.dumps(asdict(delivery)), encoding="utf-8")
    return delivery


def kept(home: Path) -> Delivery | None:
    """The result that an earlier attempt kept at `home` but could not store; None without one that can be read."""
    note = home / _NOTE
    if not note.is_file() or not (home / "artifacts").is_dir():
        return None
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except ValueError:  # emptied by a power cut
        return None
    content["history"] = [(name, value, step) for name, value, step in content["history"]]
    return Delivery(**content)


def deliver(live: LiveRun, delivery: Delivery, home: Path, *, logged: bool) -> None:
    """Store a kept result, then delete what was kept.

    `logged`: the history was logged during the run. Raises `NotStoredError` when the store refuses it.
    """
    curves = Curves()
    history = [log for log in delivery.history if curves.admits(log[0])]
    try:
        if not logged:
            for name, value, step in history:
                live.log(name, value, step)
        if (model := home / "artifacts" / "model").is_dir():
            live.model(model)
        live.log_metrics(scalars(delivery.numbers, curves.names))
        live.set_tags(delivery.tags)
        live.describe(delivery.note)
        live.artifacts(home / "artifacts")
        live.finish()
    except (TrackingError, OSError) as error:
        reason = error.what if isinstance(error, TrackingError) else str(error)
        what = f"the result was computed but not stored: {reason}"
        raise NotStoredError(what, fix="run the same command to store it (it is kept in the cache)") from error
    shutil.rmtree(home, ignore_errors=True)  # it is stored; what is left of it is replaced by the next result
