"""Strategies of interactive annotation against one another: curves over reviews, and reviews to 95 % of the ceiling.

    python measurements/interactive_curves.py --dataset pcam --data ROOT [--seeds 0,1,2,3,4] [--cache DIR]
        [--method cnfp,entropy,random,…] [--preset quick] [--set reviews=10 …] [--part held_out]
        [--classes NORM,STR,TUM] [--plot FILE.png]

Every strategy annotates with every seed as in `bench run`, in this process and without a store; its stage is kept in
the cache, so that a second call, or one after a kill, goes on. The ceiling of held-out cells: the same nets tuned once
on the class of every searched cell. That of `delivered` is 1: all cells reviewed. Prints macro F1 (over `--classes`,
by default all) at some numbers of reviews as mean ± 95 % t-interval over seeds, area, reviews to 95 % of the ceiling,
and from when on CNFP is above the others for good: the mean of the differences paired by seed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from benchmark.cachehome import cache_home
from benchmark.config import RunRequest
from benchmark.context import SilentReporter
from benchmark.dataset import Split
from benchmark.effort import Curve, area, logged_curves, mean_over_slides, reviews_to
from benchmark.running.appraise import Appraiser
from benchmark.running.attempt import context_of
from benchmark.running.device import prepare
from benchmark.running.evaluate import Examination
from benchmark.running.job import open_job
from benchmark.running.plan import plan
from benchmark.seeds import seed_of
from benchmark.supervision import Ledger

STRATEGIES = "cnfp,entropy,random,margin,top-k,front-mid-end,cnfp-fme,coreset"
CEILING = {"sessions": "1", "rounds": "1", "reviews": "100000", "max_steps": "400", "evaluate_every": "0"}
SHOWN = (10, 20, 50, 100, 150, 200, 250)

Seeds = Mapping[int, Curve]


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="pcam")
    parser.add_argument("--data", required=True)
    parser.add_argument("--method", default=STRATEGIES)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--part", default="held_out", choices=["held_out", "unreviewed", "delivered"])
    parser.add_argument("--classes", help="classes over which F1 is averaged, where the data lack some")
    parser.add_argument("--cache", type=Path, default=cache_home())
    parser.add_argument("--plot", type=Path, help="also draw the curves into this file")
    return parser.parse_args()


def curve(options: argparse.Namespace, method: str, seed: int, settings: Mapping[str, str]) -> Curve:
    """Macro F1 over reviews of one annotation."""
    began = time.perf_counter()
    request = RunRequest(
        method=method,
        dataset=options.dataset,
        data=options.data,
        preset=options.preset,
        settings=tuple(f"{key}={value}" for key, value in settings.items()),
        seeds=(seed,),
        device="cpu",
    )
    (spec,) = plan(request)
    job = open_job(spec, options.cache)
    prepare("cpu", seed_of("run", seed))
    ledger, reporter, slides = Ledger(), SilentReporter(), job.slides(Split.TEST)
    appraiser = Appraiser(job.seen, slides, job.data_identity)
    context = context_of(job, ledger, reporter, "cpu", Examination(job.seen), appraiser)
    job.method.fit(job.view(Split.TRAIN, ledger), job.view(Split.VALIDATION, ledger), context)
    if job.method.transductive():
        for slide in slides:
            job.method.predict(slide, job.labels(Split.TEST, ledger), context)
    logs = [*reporter.history, *mean_over_slides(reporter.history, [slide.id for slide in slides])]
    curves = logged_curves(logs)
    names = [f"f1_{name}" for name in options.classes.split(",")] if options.classes else ["f1_macro"]
    parts = [dict(curves[f"{options.part}/{name}"]) for name in names]
    took = time.perf_counter() - began
    print(f"  {method} seed {seed}: {ledger.totals()['reviews']} answers, {took:.0f} s", flush=True)
    return [(reviews, float(np.mean([part[reviews] for part in parts]))) for reviews in sorted(parts[0])]


def interval(values: Sequence[float]) -> str:
    """`mean ± half` of the 95 % t-interval."""
    if len(values) < 2:
        return f"{values[0]:.3f}" if values else "–"
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return f"{np.mean(values):.3f} ± {half:.3f}"


def from_when_on(ours: Seeds, theirs: Seeds) -> str:
    """From how many reviews on the mean difference, paired by seed, stays above 0."""
    steps = sorted(set.intersection(*({x for x, _ in curves[seed]} for curves in (ours, theirs) for seed in curves)))
    mean = [np.mean([dict(ours[seed])[step] - dict(theirs[seed])[step] for seed in ours]) for step in steps]
    above = [step for number, step in enumerate(steps) if min(mean[number:]) > 0]
    when = f"from {above[0]} reviews on" if above else "never for good"
    return f"{when}; area {interval([area(ours[seed]) - area(theirs[seed]) for seed in ours])}"


def draw(path: Path, by_method: Mapping[str, Seeds], goal: float | None) -> None:
    """Mean curves of all strategies."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for method, seeds in by_method.items():
        steps = sorted(set.intersection(*({x for x, _ in each} for each in seeds.values())))
        axes.plot(steps, [np.mean([dict(each)[step] for each in seeds.values()]) for step in steps], label=method)
    if goal is not None:
        axes.axhline(goal, color="grey", linestyle="--")
    axes.set(xlabel="reviews", ylabel="macro F1")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Annotate, then print the tables."""
    options = parsed()
    settings = dict(each.split("=", 1) for each in options.settings)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    full: list[float] = [1.0] if options.part == "delivered" else []
    by_method: dict[str, dict[int, Curve]] = {method: {} for method in options.method.split(",")}
    for seed in seeds:
        if options.part != "delivered":
            full.append(curve(options, "random", seed, {**settings, **CEILING})[-1][1])
        for method, curves in by_method.items():
            curves[seed] = curve(options, method, seed, settings)
    goal = 0.95 * float(np.mean(full))
    print(f"\nceiling (all cells labelled): macro F1 {interval(full)}, {options.part}; 95 % of it: {goal:.3f}")
    print("| strategy | seeds |", " | ".join(f"{n} reviews" for n in SHOWN), "| area | reviews to 95 % of it |")
    print("|---|---|" + "---|" * (len(SHOWN) + 2))
    for method, curves in by_method.items():
        cells = [interval([dict(each)[n] for each in curves.values() if n in dict(each)]) for n in SHOWN]
        needed = [reviews_to(each, goal) for each in curves.values()]
        told = ", ".join("not reached" if each is None else str(each) for each in needed)
        print(f"| {method} | {len(curves)} |", " | ".join(cells), end="")
        print(f" | {interval([area(each) for each in curves.values()])} | {told} |")
    for method, curves in by_method.items():
        if "cnfp" in by_method and method != "cnfp":
            print(f"cnfp above {method}: {from_when_on(by_method['cnfp'], curves)}")
    if options.plot:
        draw(options.plot, by_method, goal)


if __name__ == "__main__":
    main()
