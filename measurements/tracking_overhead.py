"""What tracking one run costs on SQLite once MLflow is loaded, beside MLflow's own calls for the same entries.

    python measurements/tracking_overhead.py [--runs 15]

All write 40 parameters, 15 tags, 40 metrics and one dataset, and finish the run: `Tracker`; plain MLflow with its
batches (`mlflow.log_metrics` …); plain MLflow value by value (`mlflow.log_metric` …), as most scripts do. Plain
MLflow has a database of its own, as MLflow makes it. The three take turns, so that all see the same load of the
machine.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmark.tracking.store import DatasetInput, Tracker

PARAMS = {f"group.parameter_{index}": index / 7 for index in range(40)}
TAGS = {f"bench.tag_{index}": str(index) for index in range(15)}
METRICS = {f"pixel/metric_{index}": index / 40 for index in range(40)}
DIGEST = "0123456789abcdef"


def ours(store: str) -> Callable[[], None]:
    """One run through `Tracker`."""
    tracker = Tracker(store)
    dataset = DatasetInput("glas", "/data/glas", DIGEST, {"slides": 165})

    def run() -> None:
        live = tracker.start(experiment="glas", description="", name="run", params=PARAMS, tags=TAGS, dataset=dataset)
        live.log_metrics(METRICS)
        live.finish()

    return run


def plain(store: str, *, batched: bool) -> Callable[[], None]:
    """One run through the functions of the module `mlflow`."""
    mlflow = importlib.import_module("mlflow")
    data = importlib.import_module("mlflow.data.meta_dataset")
    source = importlib.import_module("mlflow.data.http_dataset_source")
    mlflow.set_tracking_uri(store)
    mlflow.set_experiment("plain")
    dataset = data.MetaDataset(source.HTTPDatasetSource("http://localhost/glas"), name="glas", digest=DIGEST)

    def run() -> None:
        with mlflow.start_run(run_name="run"):
            mlflow.log_input(dataset, context="training")
            if batched:
                mlflow.log_params(PARAMS)
                mlflow.set_tags(TAGS)
                mlflow.log_metrics(METRICS)
                return
            for name, value in PARAMS.items():
                mlflow.log_param(name, value)
            for name, tag in TAGS.items():
                mlflow.set_tag(name, tag)
            for name, metric in METRICS.items():
                mlflow.log_metric(name, metric)

    return run


def main() -> None:
    """Print medians in milliseconds, and ratios to ours."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        stores = [f"sqlite:///{Path(name) / file}" for file in ("ours.db", "plain.db")]
        ways = {
            "Tracker": ours(stores[0]),
            "mlflow, batches": plain(stores[1], batched=True),
            "mlflow, value by value": plain(stores[1], batched=False),
        }
        spent: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(runs + 1):
            for way, run in ways.items():
                began = time.perf_counter()
                run()
                spent[way].append(1000 * (time.perf_counter() - began))
    medians = {way: statistics.median(times[1:]) for way, times in spent.items()}
    for way, median in medians.items():
        fastest = min(spent[way][1:])
        print(f"{way:24s} median {median:7.1f} ms, fastest {fastest:7.1f} ms, {median / medians['Tracker']:5.1f} x")


if __name__ == "__main__":
    main()
