"""How often the 95 % interval of a crossing point holds the true one, on simulated curves.

    python measurements/crossing_coverage.py [--experiments 2000] [--draws 2000]

Two methods at five budgets each, of other prices, with known curves: the truth is where the lines through the expected
values cross. Seeds move whole curves (a part of it alike for both methods, which share the subsets), and their single
points; test patients are easier or harder for both methods, and for one of them at one budget. A score of a run is the
mean over patients. Prints, for several numbers of seeds and patients, the share of intervals that hold the truth,
their mean length in factors of minutes where both ends are inside the range, and how many are not.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmark.reporting.budget_curves.crossings import Crossing, crossings
from benchmark.reporting.budget_curves.label_curve import Floats, LabelCurve, for_good, height, shared_grid
from benchmark.reporting.budget_curves.resamples import influence_of_mean, resampled
from benchmark.seeds import generator

CHEAP, DEAR = np.array([2.0, 6.0, 20.0, 60.0, 200.0]), np.array([3.0, 10.0, 30.0, 100.0, 300.0])
EXPECTED = (np.array([0.55, 0.62, 0.67, 0.70, 0.71]), np.array([0.40, 0.54, 0.66, 0.75, 0.80]))
SEED_SHARED, SEED_OWN, SEED_POINT = 0.015, 0.015, 0.01
PATIENT_SHARED, PATIENT_OWN, PATIENT_POINT = 0.15, 0.08, 0.05
SETTINGS = ((3, 20), (3, 60), (5, 20), (5, 60), (10, 60), (3, 0), (5, 0), (1, 60))
"""Seeds and test patients; 0 patients: their spread is left out of the simulation and of the intervals."""


def simulated(seeds: int, patients: int, rng: np.random.Generator) -> list[LabelCurve]:
    """The two curves of one experiment."""
    of_seed = rng.normal(0, SEED_SHARED, (1, seeds)) if seeds > 1 else np.zeros((1, 1))
    of_patient = rng.normal(0, PATIENT_SHARED, (1, max(1, patients)))
    curves = []
    for name, minutes, expected in zip(("cheap", "dear"), (CHEAP, DEAR), EXPECTED, strict=True):
        values = expected[:, None] + np.zeros((1, seeds))
        if seeds > 1:
            values = values + of_seed + rng.normal(0, SEED_OWN, (1, seeds)) + rng.normal(0, SEED_POINT, (5, seeds))
        influence: Floats = np.zeros((0, 0))
        if patients:
            own = rng.normal(0, PATIENT_OWN, (1, patients)) + rng.normal(0, PATIENT_POINT, (5, patients))
            scores = of_patient + own
            values = values + scores.mean(axis=1, keepdims=True)
            influence = np.array([influence_of_mean(row, range(patients), patients) for row in scores])
        names = tuple(f"p{number:03d}" for number in range(patients))
        budgets, numbers = ("3%", "10%", "30%", "60%", "100%"), tuple(range(seeds))
        curves.append(LabelCurve(name, "", budgets, numbers, minutes, values, patients=names, influence=influence))
    return curves


def truth() -> float:
    """Where the lines through the expected values cross."""
    grid = shared_grid(CHEAP, DEAR)
    return float(for_good(grid, height(DEAR, EXPECTED[1], grid) - height(CHEAP, EXPECTED[0], grid))[0])


def holds(found: Crossing, where: float) -> bool:
    """Whether the interval has the truth in it, by which the dear one is above from `where` on.

    Where the cheap one was found above at the end, the interval is of its own crossing, which in truth is never.
    """
    assert found.low is not None and found.high is not None
    return found.low <= (where if found.winner == "dear" else np.inf) <= found.high


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=2000)
    options = parser.parse_args()
    where = truth()
    print(f"true crossing: {where:.2f} min; {options.experiments} experiments, {options.draws} resamples each")
    for seeds, patients in SETTINGS:
        rng, held, factors, beyond = generator("crossing coverage", seeds, patients), 0, [], 0
        for experiment in range(options.experiments):
            curves = simulated(seeds, patients, rng)
            found = crossings(curves, resampled(curves, draws=options.draws, seed=experiment))[0]
            low, high = found.low, found.high
            assert low is not None and high is not None
            held += holds(found, where)
            inside = found.winner == "dear" and np.isfinite(low) and np.isfinite(high)
            beyond += not inside
            factors += [high / low] if inside else []
        share = held / options.experiments
        length = f"{np.mean(factors):5.2f}×" if factors else "    –"
        print(f"{seeds:3d} seeds {patients:3d} patients: {share:6.1%} held, high/low {length}, {beyond} reach an edge")


if __name__ == "__main__":
    main()
