"""AUC, specificity at 100 % sensitivity and the honest operating point of stored runs, with intervals over slides.

python measurements/slide_intervals.py --store sqlite:///mlflow.db --experiment camelyon16-synthetic

Composed slides share patients, so `bench run` gives no intervals over patients for them. These take the slides for
independent (DeLong; Clopper-Pearson with the threshold held fixed), which they are only in part: they are too narrow
as statements about patients. Prints a Markdown table, one row per run, and what was logged of every round.
"""

from __future__ import annotations

import argparse

from benchmark.metrics.classification import clopper_pearson, spec_at_sensitivity
from benchmark.metrics.comparison import delong_interval
from benchmark.stored import StoredRun, unit_table
from benchmark.tracking.artifacts import StoreArtifacts
from benchmark.tracking.store import Tracker

HEAD = (
    "run",
    "seed",
    "AUC",
    "spec. at 100 % sens.",
    "threshold",
    "sens. / spec. at validation's",
    "Dice",
    "s",
)


def rate(successes: int, trials: int) -> str:
    interval = clopper_pearson(successes, trials)
    return f"{successes / trials:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def row(tracker: Tracker, run: StoredRun) -> list[str]:
    with StoreArtifacts(tracker) as artifacts:
        units = unit_table(artifacts, run)
    labels, scores = units["label"].to_numpy(), units["score"].to_numpy()
    found, point = delong_interval(labels, scores), spec_at_sensitivity(labels, scores)
    assert found is not None and point is not None
    area, between, _ = found
    honest, threshold = "–", run.metrics.get("image/threshold_at_val")
    if threshold is not None:
        hits, rejected = int((scores[labels == 1] >= threshold).sum()), int((scores[labels == 0] < threshold).sum())
        honest = f"{rate(hits, point.positives)} / {rate(rejected, point.negatives)}"
    dice, seconds = run.metrics.get("pixel/dice"), run.metrics.get("cost/seconds", float("nan"))
    return [
        f"`{run.tags['bench.method']}` {run.tags.get('bench.variant', '')}".strip(),
        run.tags["bench.seed"],
        f"{area:.3f} [{between[0]:.3f}, {between[1]:.3f}]",
        rate(point.true_negatives, point.negatives),
        f"{point.threshold:.4f}",
        honest,
        "–" if dice is None else f"{dice:.3f}",
        f"{seconds:.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True)
    parser.add_argument("--experiment", required=True)
    options = parser.parse_args()
    tracker = Tracker(options.store)
    runs = [run for run in tracker.runs(options.experiment) if run.status == "FINISHED"]
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    for cells in sorted(row(tracker, run) for run in runs):
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
