"""The tables among a stored run's artifacts: read where they lie, or fetched from a server."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from benchmark.errors import BenchError
from benchmark.tracking.store import Tracker
from benchmark.tracking.stored_runs import StoredRun

PER_SLIDE, UNITS = "per_slide.table.json", "units.csv"


def slide_rows(tracker: Tracker, run: StoredRun) -> list[dict[str, Any]]:
    """The rows per slide of a run; none when its table is not to be had."""
    text = artifact_text(tracker, run, PER_SLIDE)
    try:
        table = json.loads(text) if text else {"columns": [], "data": []}
        return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    except (ValueError, KeyError, TypeError):
        return []


def unit_rows(tracker: Tracker, run: StoredRun) -> list[tuple[str, int, float]]:
    """Every test unit of a run as (slide and number, label, score); none when its table is not to be had."""
    text = artifact_text(tracker, run, UNITS)
    if not text:
        return []
    try:
        lines = csv.DictReader(text.splitlines())
        return [(f"{line['slide']} {line['unit']}", int(line["label"]), float(line["score"])) for line in lines]
    except (ValueError, KeyError, TypeError):
        return []


def artifact_text(tracker: Tracker, run: StoredRun, path: str) -> str | None:
    """The text of an artifact; None when the run has none of that name, or its store does not give it out."""
    here = local_artifact(run, path)
    try:
        if here is not None:
            return here.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            found = tracker.download(run, path, Path(folder))
            return found[0].read_text(encoding="utf-8") if found else None
    except (BenchError, OSError, UnicodeDecodeError):
        return None


def local_artifact(run: StoredRun, path: str) -> Path | None:
    """Where the artifact lies on this machine; None when the run's artifacts are kept by a server."""
    address = urlsplit(run.artifact_uri)
    if address.scheme not in ("", "file") or not address.path:
        return None
    return Path(unquote(address.path)) / path
