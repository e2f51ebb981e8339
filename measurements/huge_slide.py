"""A slide of 100 000 × 100 000 px with little tissue: how much memory finding and reading its tissue takes.

python measurements/huge_slide.py [--side 100000] [--tissue 8000] [--folder DIR]

Writes a pyramidal TIFF whose background tiles are all alike, then, each in a process of its own: finds the tissue in
every mode on cells of 256 px, and streams the tissue's patches (256 → 224 px). Prints seconds and peak memory of each.
"""

from __future__ import annotations

import argparse
import io
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from benchmark.slides import Grid, Slide, stream_patches, tissue_mask
from benchmark.slides.tissue import Mode

TILE = 512
FACTORS = (1, 4, 16, 64)
KINDS = 8
"""Different tissue tiles; they repeat."""


def encoded(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=85, subsampling=0)
    return stream.getvalue()


def tiles_of(side: int, tissue: int, factor: int) -> Iterator[bytes]:
    """Glass everywhere but in a square of `tissue` px in the middle, which has the grain of stained tissue."""
    rng = np.random.default_rng(factor)
    blank = np.full((TILE, TILE, 3), 243, np.uint8)
    stained = [rng.normal((190, 120, 170), 25, blank.shape).clip(0, 255).astype(np.uint8) for _ in range(KINDS)]
    whole, glass = [encoded(pixels) for pixels in stained], encoded(blank)
    low, high = ((side / 2 + sign * tissue / 2) / factor for sign in (-1, 1))
    number = -(-side // factor // TILE)
    for row in range(number):
        for col in range(number):
            inside = [np.arange(index * TILE, (index + 1) * TILE) + 0.5 for index in (row, col)]
            down, across = ((low <= edges) & (edges < high) for edges in inside)
            if not (down.any() and across.any()):
                yield glass
            elif down.all() and across.all():
                yield whole[(row * 7 + col) % KINDS]
            else:
                yield encoded(np.where((down[:, None] & across)[..., None], stained[0], blank))


def write(path: Path, side: int, tissue: int) -> None:
    import tifffile

    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for factor in FACTORS:
            length = side // factor
            file.write(
                tiles_of(side, tissue, factor),
                shape=(length, length, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                compression="jpeg",
                photometric="ycbcr",
                subsampling=(1, 1),
                subfiletype=0 if factor == 1 else 1,
                metadata=None,
            )


def found(path: Path, mode: Mode) -> str:
    slide = Slide("huge", path, "p")
    cells = int(tissue_mask(slide, Grid.regular(slide.size, 256), mode).sum())
    return f"{cells} tissue cells"


def streamed(path: Path, readers: int) -> str:
    slide = Slide("huge", path, "p")
    grid = Grid.regular(slide.size, 256)
    where = tissue_mask(slide, grid, "grey-otsu")
    number = sum(len(part.rows) for part in stream_patches(slide, grid, where, side=224, readers=readers))
    return f"{number} patches"


def measured(work: Callable[..., str], *arguments: object) -> tuple[str, float, float]:
    """Result, seconds and peak MiB of this process and its children (the larger one)."""
    began = time.perf_counter()
    result = work(*arguments)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return result, time.perf_counter() - began, peak / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=100_000)
    parser.add_argument("--tissue", type=int, default=8_000, help="side of the tissue, px")
    parser.add_argument("--folder", type=Path, help="where the slide is written (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "huge.tif"
        began = time.perf_counter()
        write(path, options.side, options.tissue)
        print(
            f"written: {options.side} × {options.side} px, {path.stat().st_size / 1e6:.0f} MB, "
            f"{time.perf_counter() - began:.0f} s"
        )
        jobs: list[tuple[str, Callable[..., str], object]] = [
            (mode, found, mode) for mode in get_args(Mode) if mode != "all"
        ]
        jobs += [(f"stream, {readers} readers", streamed, readers) for readers in (0, 2)]
        for name, work, argument in jobs:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                result, seconds, peak = pool.submit(measured, work, path, argument).result()
            print(f"{name:22} {result:20} {seconds:6.1f} s   peak {peak:6.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
