"""Patches per second: `stream_patches` with two readers against one process that reads patch by patch with OpenSlide.

python measurements/patch_streaming.py [--side 24576] [--readers 2] [--rounds 3]

Both read every 256-px patch of one JPEG pyramid and bring it to 224 px (Pillow, bilinear), side by side and with
patches that overlap by half. The rounds alternate, so that a busy machine burdens both alike; the ratio is that of the
medians. CPU seconds, readers included, say what a busy machine hides: as many free cores as there are readers can be no
faster than readers × CPU of the loop / CPU of ours.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import openslide
from PIL import Image

from benchmark.slides import Grid, Slide, stream_patches, write_pyramid

PATCH, SIDE = 256, 224


def bands(side: int) -> Iterator[np.ndarray]:
    """Grainy stained tissue: JPEG has as much to decode as on a slide."""
    rng = np.random.default_rng(0)
    strip = rng.normal((190, 120, 170), 22, (512, side + 512, 3)).clip(0, 255).astype(np.uint8)
    for number in range(side // 512):
        yield strip[:, number * 7 % 512 :][:, :side]


def naive(path: Path, grid: Grid) -> int:
    number = 0
    with openslide.OpenSlide(path) as slide:
        for _, _, x, y in grid.patches():
            patch = slide.read_region((x, y), 0, (PATCH, PATCH)).convert("RGB")
            np.asarray(patch.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
            number += 1
    return number


def streamed(path: Path, grid: Grid, readers: int) -> int:
    slide = Slide("slide", path, "p")
    return sum(len(part.rows) for part in stream_patches(slide, grid, side=SIDE, readers=readers))


def timed(work: Callable[..., int], path: Path, grid: Grid, *more: int) -> tuple[float, float]:
    """Seconds, and CPU seconds of this process and its readers."""
    began, used = time.perf_counter(), cpu()
    assert work(path, grid, *more) == grid.rows * grid.cols
    return time.perf_counter() - began, cpu() - used


def cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=24_576, help="side of the slide, px")
    parser.add_argument("--readers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        write_pyramid(path, bands(options.side), (options.side, options.side), mpp=0.25)
        for name, stride in (("side by side", PATCH), ("overlapping by half", PATCH // 2)):
            side = options.side if stride == PATCH else options.side // 2
            grid = Grid.regular((side, side), stride, PATCH)
            alone, together = [], []
            for _ in range(options.rounds):
                alone.append(timed(naive, path, grid))
                together.append(timed(streamed, path, grid, options.readers))
            number = grid.rows * grid.cols
            (slow, lone), (fast, shared) = (np.median(spent, axis=0) for spent in (alone, together))
            rates = f"one loop {number / slow:.0f}/s, {options.readers} readers {number / fast:.0f}/s"
            print(f"{name}, {number} patches: {rates}, ratio {slow / fast:.2f}", flush=True)
            most = f"ratio on {options.readers} free cores at most {options.readers * lone / shared:.2f}"
            print(f"  CPU seconds {lone:.1f} and {shared:.1f}: {most}", flush=True)


if __name__ == "__main__":
    main()
