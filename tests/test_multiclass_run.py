"""Data of nine classes from the command to the page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.tracking.artifacts import slide_rows, whole_run
from benchmark.tracking.store import Tracker


def test_nine_classes_reach_store_rows_page_and_leaderboard(miniatures, store: str, tmp_path: Path) -> None:
    command = ["run", "--method", "linear-probe,constant", "--dataset", "crc", "--data", str(miniatures["crc"])]
    result = CliRunner().invoke(app, [*command, "--preset", "smoke", "--jobs", "0"])
    assert result.exit_code == 0, result.output
    tracker = Tracker(store, cache=tmp_path / "cache")
    runs = {run.tags["bench.method"]: whole_run(tracker, run) for run in tracker.runs("crc-synthetic")}
    probe, constant = runs["linear-probe"], runs["constant"]
    assert 1 / 9 < probe.metrics["class/accuracy"] <= 1
    assert {"class/f1/TUM", "class/jaccard/ADI", "retrieval/p_at_10", "retrieval/perfect_p_at_10"} <= set(probe.metrics)
    assert not [name for name in constant.metrics if name.startswith("class/")]
    assert constant.metrics["pixel/tpr"] == 1 and constant.metrics["pixel/ppv"] == pytest.approx(1 / 9)
    (row,) = slide_rows(tracker, probe)
    assert row["class/accuracy"] == pytest.approx(probe.metrics["class/accuracy"])
    (page,) = tracker.download(probe, "summary.html", tmp_path / "page")
    text = page.read_text()
    assert "Confusion matrix" in text and re.search(r"<th[^>]*>LYM</th>", text)
    (facts,) = tracker.download(constant, "metrics.json", tmp_path / "facts")
    kept = json.loads(facts.read_text())
    assert "positive class alone" in kept["absent"]["class/accuracy"] and kept["confusion"] == []
    board = CliRunner().invoke(app, ["leaderboard", "--dataset", "crc", "--format", "csv"])
    assert board.exit_code == 0, board.output
    assert "class/f1_macro" in board.output
