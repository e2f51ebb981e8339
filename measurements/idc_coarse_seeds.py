"""LC-MIL and DkNN against the coarse annotation on one real slide, over several simulated annotations of it.

Runs, or finds in the store, `bench run --method coarse,dknn,lcmil` on `idc:coarse_seed=0 … n-1`, and prints the F1 of
each and the paired Wilcoxon test over the annotations. They are annotations of one slide: the test says whether the
gain depends on the annotation, nothing of other slides.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from scipy import stats

import benchmark

METHODS = ("coarse", "dknn", "lcmil")


def main() -> None:
    """Run what is missing and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="the folder of idc")
    parser.add_argument("--seeds", type=int, default=10, help="number of simulated annotations")
    parser.add_argument("--preset", default="quick")
    given = parser.parse_args()
    variants = ",".join(f"idc:coarse_seed={seed}" for seed in range(given.seeds))
    command = ("run", "--method", ",".join(METHODS), "--dataset", variants, "--data", given.data)
    quiet = subprocess.run([sys.executable, "-m", "benchmark", *command, "--preset", given.preset], check=False)
    if quiet.returncode:
        sys.exit(quiet.returncode)
    frame = benchmark.results(dataset="idc")
    frame = frame[frame["preset"] == given.preset].sort_values("started")
    table = frame.pivot_table(index="settings", columns="method", values="pixel/f1", aggfunc="last")
    print(table.round(3).to_string())
    print("mean  ", "  ".join(f"{name} {table[name].mean():.3f}" for name in METHODS))
    for name in METHODS[1:]:
        gain = table[name] - table["coarse"]
        p = stats.wilcoxon(gain).pvalue
        print(f"{name} – coarse: {gain.mean():+.3f} ({gain.min():+.3f} … {gain.max():+.3f}), Wilcoxon p = {p:.3f}")


if __name__ == "__main__":
    main()
