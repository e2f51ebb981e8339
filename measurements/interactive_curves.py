"""Strategies of interactive annotation against one another: curves over reviews, and reviews to 95 % of the ceiling.

    python measurements/interactive_curves.py --dataset pcam --data ROOT [--seeds 0,1,2,3,4] [--jobs 2]
        [--method cnfp,entropy,random,…] [--preset quick] [--set search=slide …] [--part held_out]

Runs every strategy with every seed (finished runs are not run again), and the ceiling: the same nets tuned once on the
class of every searched cell (`--set reviews=100000`, one round). Prints macro F1 at some numbers of reviews as
mean ± 95 % t-interval over seeds, area, reviews to 95 % of the ceiling, and from when on CNFP is above the others for
good: the mean of the differences paired by seed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable

import numpy as np
from scipy import stats

from benchmark.effort import Curve, area, reviews_to
from benchmark.notebook import results
from benchmark.stored import MissingError, effort_curves
from benchmark.tracking.artifacts import StoreArtifacts
from benchmark.tracking.store import Tracker

STRATEGIES = "cnfp,entropy,random,margin,top-k,front-mid-end,cnfp-fme,coreset"
CEILING = ("sessions=1", "rounds=1", "reviews=100000", "max_steps=400", "evaluate_every=0")
SHOWN = (10, 25, 50, 100, 150, 200, 250)


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="pcam")
    parser.add_argument("--data", required=True)
    parser.add_argument("--method", default=STRATEGIES)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--part", default="held_out", choices=["held_out", "unreviewed", "delivered"])
    parser.add_argument("--only-show", action="store_true", help="run nothing, show what the store has")
    return parser.parse_args()


def run(options: argparse.Namespace, method: str, settings: Iterable[str]) -> None:
    """One matrix of runs."""
    command = [sys.executable, "-m", "benchmark", "run", "--method", method, "--dataset", options.dataset]
    command += ["--data", options.data, "--preset", options.preset, "--seeds", options.seeds, "--jobs", options.jobs]
    subprocess.run([*command, *(part for each in settings for part in ("--set", each))], check=True)


def curves(options: argparse.Namespace) -> dict[tuple[str, bool], dict[int, Curve]]:
    """(method, whether it is the ceiling) → seed → macro F1 over reviews, of the runs in the store."""
    tracker = Tracker()
    frame = results(dataset=options.dataset, method=options.method.split(","))
    frame = frame[(frame.state == "ok") & (frame.preset == options.preset) & ~frame.synthetic]
    ours, full = set(options.settings), {*options.settings, *CEILING}
    kept: dict[tuple[str, bool], dict[int, Curve]] = {}
    with StoreArtifacts(tracker) as artifacts:
        for run_id, row in frame.iterrows():
            if set(row.variant.split()) not in (ours, full):
                continue
            try:
                curve = effort_curves(artifacts, tracker.find(str(run_id)))[f"{options.part}/f1_macro"]
            except (MissingError, KeyError):
                continue
            kept.setdefault((row.method, set(row.variant.split()) == full), {}).setdefault(int(row.seed), curve)
    return kept


def interval(values: list[float]) -> str:
    """`mean ± half` of the 95 % t-interval."""
    if len(values) < 2:
        return f"{values[0]:.3f}" if values else "–"
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return f"{np.mean(values):.3f} ± {half:.3f}"


def from_when_on(ours: dict[int, Curve], theirs: dict[int, Curve]) -> str:
    """From how many reviews on the mean difference, paired by seed, stays above 0."""
    seeds = sorted(ours.keys() & theirs.keys())
    steps = sorted(set.intersection(*({x for x, _ in curve[seed]} for curve in (ours, theirs) for seed in seeds)))
    mean = [np.mean([dict(ours[seed])[step] - dict(theirs[seed])[step] for seed in seeds]) for step in steps]
    above = [step for number, step in enumerate(steps) if min(mean[number:]) > 0]
    areas = [area(ours[seed]) - area(theirs[seed]) for seed in seeds]
    when = f"from {above[0]} reviews on" if above else "never for good"
    return f"{when}; area {interval(areas)}"


def main() -> None:
    """Run, then print the table."""
    options = parsed()
    if not options.only_show:
        run(options, "random", [*options.settings, *CEILING])
        run(options, options.method, options.settings)
    kept = curves(options)
    full = [curve[-1][1] for curve in kept.pop(("random", True), {}).values()]
    goal = 0.95 * float(np.mean(full)) if full else None
    ceiling = "no run" if goal is None else interval(full)
    print(f"ceiling (all cells labelled): macro F1 {ceiling}, {options.part}")
    print("| strategy | seeds |", " | ".join(f"{n} reviews" for n in SHOWN), "| area | reviews to 95 % of it |")
    print("|---|---|" + "---|" * (len(SHOWN) + 2))
    for (method, _), by_seed in kept.items():
        cells = [interval([dict(curve)[n] for curve in by_seed.values() if n in dict(curve)]) for n in SHOWN]
        needed = [None if goal is None else reviews_to(curve, goal) for _, curve in sorted(by_seed.items())]
        told = ", ".join("not reached" if each is None else str(each) for each in needed)
        areas = interval([area(curve) for curve in by_seed.values()])
        print(f"| {method} | {len(by_seed)} |", " | ".join(cells), f"| {areas} | {told} |")
    for (method, _), by_seed in kept.items():
        if method != "cnfp" and ("cnfp", False) in kept:
            print(f"cnfp above {method}: {from_when_on(kept['cnfp', False], by_seed)}")


if __name__ == "__main__":
    main()
