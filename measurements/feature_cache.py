"""The frozen-feature cache: the first pass over a slide against every later one.

    python measurements/feature_cache.py [--encoder resnet18] [--input 224] [--cells 400] [--repeats 5]

A slide of coloured noise is written as a pyramid; the encoder has random weights, which cost what trained ones cost.
The first pass reads, decodes, resizes and encodes. A later pass (a second method, another seed, the next trial) finds
the entry by its key and reads all its values through the memory map. The first later pass is also made by a process of
its own. At the end: the ratio, and whether the bits are the same.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.learning.encoders.features import FeatureCache
from benchmark.learning.encoders.frozen import FrozenEncoder, create_encoder
from benchmark.slides import Grid, Slide, write_pyramid

CELL = 256


def bands(side: int) -> Iterator[NDArray[np.uint8]]:
    """Full-width strips of noise whose colour drifts over the slide."""
    rng = np.random.default_rng(0)
    for top in range(0, side, CELL):
        drift = 60 * np.sin(np.arange(side) / 700 + top / 900)[None, :, None]
        yield np.clip(rng.integers(90, 200, (CELL, side, 3)) + drift, 0, 255).astype(np.uint8)


def once(cache: Path, slide: Slide, encoder: FrozenEncoder) -> tuple[float, NDArray[np.floating]]:
    """Seconds until every value was read, and the values."""
    began = time.perf_counter()
    found = FeatureCache(cache).of(slide, Grid.regular(slide.size, CELL), None, encoder)
    values = np.array(found.values)
    return time.perf_counter() - began, values


def main() -> None:
    """Write, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--part", choices=["trunk", "pooled"], default="pooled")
    parser.add_argument("--input", type=int, default=224, help="side of a patch as the encoder sees it")
    parser.add_argument("--cells", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="of an earlier pass: only measure a later one")
    options = parser.parse_args()
    encoder = create_encoder(options.encoder, part=options.part, pretrained=False, weights=None, side=options.input)
    if options.folder is not None:
        seconds, _ = once(options.folder / "cache", Slide("noise", options.folder / "noise.tif", "p"), encoder)
        print(f"{seconds:.4f}")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        side = CELL * round(options.cells**0.5)
        write_pyramid(folder / "noise.tif", bands(side), (side, side), mpp=0.25)
        slide = Slide("noise", folder / "noise.tif", "p")
        first, values = once(folder / "cache", slide, encoder)
        words = [sys.executable, __file__, "--folder", name, "--encoder", options.encoder, "--part", options.part]
        words += ["--input", str(options.input)]
        other = float(subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()[-1])
        later = [once(folder / "cache", slide, encoder) for _ in range(options.repeats)]
        size = sum(file.stat().st_size for file in folder.rglob("values.npy"))
    same = all(np.array_equal(values, again) for _, again in later)
    median = float(np.median([seconds for seconds, _ in later]))
    print(
        f"{encoder.name}, {len(values)} cells of {CELL} px seen at {options.input} px, {size / 1e6:.1f} MB of features"
    )
    print(f"first pass            {first:9.3f} s")
    print(f"another process       {other:9.3f} s  {first / other:8.0f} times faster")
    print(f"median of {options.repeats} later    {median:9.3f} s  {first / median:8.0f} times faster")
    print(f"same bits: {same}")


if __name__ == "__main__":
    main()
