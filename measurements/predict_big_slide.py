"""`bench predict` on a slide of 20 000 × 20 000 px: seconds, cells a second and peak memory.

Usage: python measurements/predict_big_slide.py RUN [--store URI] [--side 20000]

RUN is a finished run, such as that of `bench run --method topk-mil --dataset slides --data DIR`; the slide is painted
at the resolution that its model learnt at. Compare the cells a second with `cost/score_seconds` of RUN.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import benchmark
from benchmark.applying.given_slides import Given
from benchmark.slides import write_pyramid

BAND = 500


def bands(side: int) -> Iterator[NDArray[np.uint8]]:
    """Pink and violet tissue with glass around it, strip by strip."""
    rng = np.random.default_rng(0)
    for top in range(0, side, BAND):
        rows = np.full((min(BAND, side - top), side, 3), 245, np.uint8)
        if side // 10 <= top < side - side // 10:
            colour = (120, 60, 150) if (top // (side // 8)) % 2 else (225, 150, 190)
            inner = rows[:, side // 10 : side - side // 10]
            inner[:] = np.clip(np.array(colour) + rng.normal(0, 12, inner.shape), 0, 255)
        yield rows


def main() -> None:
    """Paint, predict, print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--store")
    parser.add_argument("--side", type=int, default=20_000)
    given = parser.parse_args()
    model = benchmark.load_run(given.run, store=given.store)
    mpp = (model.model.card.mpp or (0.25, 0.25))[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.tif"
        write_pyramid(path, bands(given.side), (given.side, given.side), mpp=mpp)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began = time.perf_counter()
        done = model.predictor.predict(Given("big", path))
        seconds = time.perf_counter() - began
    cells = int(np.isfinite(done.scores.values).sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{cells} cells in {seconds:.1f} s, {cells / seconds:.0f} a second; peak {peak:.0f} MiB ({before:.0f} before)"
    )


if __name__ == "__main__":
    main()
