"""How long a person waits for `bench --help` and `bench list`, beside a bare interpreter and `mlflow --help`.

python measurements/startup.py [--times 10]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from statistics import median


def seconds(command: list[str], times: int) -> float:
    """Median wall seconds of a command, after one run that warms the disk's cache."""
    taken = []
    for _ in range(times + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - began)
    return median(taken[1:])


def main() -> None:
    """Print seconds and ratios, all taken in one run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--times", type=int, default=10)
    times = parser.parse_args().times
    folder = sys.executable.rpartition("/")[0]
    bench = shutil.which("bench", path=folder) or "bench"
    mlflow = shutil.which("mlflow", path=folder) or "mlflow"
    bare = seconds([sys.executable, "-c", "pass"], times)
    print(f"{'python -c pass':18s} {bare:6.3f} s")
    for command in ([bench, "--help"], [bench, "list"], [mlflow, "--help"]):
        took = seconds(command, times if command[0] == bench else 2)
        name = " ".join([command[0].rpartition("/")[2], *command[1:]])
        print(f"{name:18s} {took:6.3f} s   {took / bare:5.1f} × a bare interpreter")


if __name__ == "__main__":
    main()
