"""How long a leaderboard of thousands of stored runs takes, as a command and through MLflow's own search.

    python measurements/leaderboard_speed.py [--runs 5000] [--mlflow]

Fills a SQLite store with runs as `bench run` writes them (5 datasets, 200 methods, 5 seeds, 80 numbers each, a table
per slide), through MLflow's tables directly because writing 5 000 runs one by one takes many minutes.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmark.tracking.store import Tracker

DATASETS, SEEDS, SLIDES = 5, 5, 40
NUMBERS = ("pixel/miou", "pixel/dice", "pixel/accuracy", "object/f1", "image/auc", "slide/f1", "slide/accuracy")


def fill(folder: Path, runs: int) -> str:
    """Write the store; returns its address."""
    address = f"sqlite:///{folder}/mlflow.db"
    Tracker(address).connect()
    rng = random.Random(0)
    methods = max(1, runs // (DATASETS * SEEDS))
    with sqlite3.connect(folder / "mlflow.db") as store:
        for place in range(DATASETS):
            store.execute(
                "INSERT INTO experiments (experiment_id, name, lifecycle_stage, workspace) VALUES (?, ?, 'active', ?)",
                (place + 1, f"data{place}", "default"),
            )
        for number in range(runs):
            place, rest = divmod(number, methods * SEEDS)
            method, seed = divmod(rest, SEEDS)
            write(store, folder, rng, f"{number:032x}", min(place, DATASETS - 1), method, seed)
    return address


def write(
    store: sqlite3.Connection, folder: Path, rng: random.Random, run: str, place: int, method: int, seed: int
) -> None:
    artifacts = folder / "mlartifacts" / run
    artifacts.mkdir(parents=True)
    base = 0.5 + method / 800
    values = [base + rng.gauss(0, 0.05) for _ in range(SLIDES)]
    columns = [
        "slide",
        *(f"pixel/{name}" for name in ("miou", "f1", "dice", "accuracy")),
        *(f"x{n}" for n in range(30)),
    ]
    rows = [[f"s{n}", v, v, v, v, *([0.5] * 30)] for n, v in enumerate(values)]
    (artifacts / "per_slide.table.json").write_text(json.dumps({"columns": columns, "data": rows}))
    store.execute(
        "INSERT INTO runs (run_uuid, name, user_id, source_type, status, start_time, end_time, lifecycle_stage,"
        " artifact_uri, experiment_id)"
        " VALUES (?, ?, 'nobody', 'LOCAL', 'FINISHED', ?, ?, 'active', ?, ?)",
        (run, f"m{method}", seed, seed + 1, artifacts.as_uri(), place + 1),
    )
    tags = {
        "method": f"m{method}",
        "dataset": f"data{place}",
        "supervision": ("patch", "coarse", "full")[method % 3],
        "preset": "quick",
        "seed": str(seed),
        "row": f"m{method}",
        "board": f"data{place}",
        "slides": "all",
        "complete": "true",
        "data_kind": "real",
        "metrics_schema": "1",
        "state": "ok",
        "identity": run,
        **{f"extra{n}": "x" * 20 for n in range(8)},
    }
    store.executemany(
        "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
        [(f"bench.{key}", value, run) for key, value in tags.items()],
    )
    mean = sum(values) / SLIDES
    metrics = dict.fromkeys(NUMBERS, mean)
    metrics |= {f"{name}{end}": mean for name in NUMBERS for end in (".low", ".high")}
    metrics |= {
        "labels/patch_labels": 8000.0,
        "cost/seconds": 100.0,
        "data/slides_used": 40,
        "data/slides_expected": 40,
    }
    metrics |= dict.fromkeys((f"training/curve{n}" for n in range(80 - len(metrics))), 0.1)
    store.executemany(
        "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, 0, 0, 0, ?)",
        [(key, value, run) for key, value in metrics.items()],
    )
    store.executemany(
        "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", [(f"p{n}", "1", run) for n in range(30)]
    )


def main() -> None:
    """Print seconds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--mlflow", action="store_true", help="also through MLflow's search, which takes a while")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        address = fill(Path(name), options.runs)
        for words in ([], ["--no-tests"], ["--format", "json"]):
            began = time.perf_counter()
            command = [sys.executable, "-m", "benchmark", "leaderboard", "--store", address, *words]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            print(f"bench leaderboard {' '.join(words):16s} {time.perf_counter() - began:6.2f} s, start-up included")
        if options.mlflow:
            tracker = Tracker(address)
            tracker.connect()
            began = time.perf_counter()
            found = sum(len(tracker._search(experiment, "", None)) for experiment in tracker.experiments())
            print(f"MLflow's search of {found} runs     {time.perf_counter() - began:6.2f} s")


if __name__ == "__main__":
    main()
