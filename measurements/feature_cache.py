"""The frozen-feature cache: the first pass over a slide against every later one.

    python measurements/feature_cache.py [--encoder resnet18] [--input 224] [--cells 400] [--repeats 5]
    python measurements/feature_cache.py --rate 1000 [--encoder imagenet-lite0]
    python measurements/feature_cache.py --methods lcmil,dknn

A slide of coloured noise is written as a pyramid; the encoder has random weights, which cost what trained ones cost.
The first pass reads, decodes, resizes and encodes. A later pass (a second method, another seed, the next trial) finds
the entry by its key and reads all its values through the memory map. The first later pass is also made by a process of
its own. At the end: the ratio, and whether the bits are the same.

`--rate N`: N patches from the slide into the cache (read, decoded, normalised, encoded, written) against the bare
network in a loop over tensors that are there already, in turns of 100 patches, so that a busy machine slows both alike.

`--methods A,B`: the miniature of PAIP 2019, preset quick: the seconds in which each method gets the features of all
slides it scores, the first with nothing kept.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.learning.encoders.features import FeatureCache, Features
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


TURN = 100
"""Patches between two changes from one way to the other."""


def rate(name: str, patches: int) -> None:
    """The whole way against the bare network."""
    encoder = create_encoder(name, pretrained=True, weights=None)
    network = encoder._module
    images = torch.randn(TURN, 3, encoder.side, encoder.side).contiguous(
        memory_format=torch.channels_last
    )  # the faster
    ours = bare = 0.0
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        columns = round(TURN**0.5)
        side = CELL * -(-encoder.side * columns // CELL)
        write_pyramid(folder / "noise.tif", bands(side), (side, side), mpp=0.25)
        slide = Slide("noise", folder / "noise.tif", "p")
        grid = Grid.regular(slide.size, encoder.side)
        FeatureCache(folder / "warm").of(slide, grid, None, encoder)
        for turn in range(patches // TURN):
            began = time.perf_counter()
            FeatureCache(folder / f"cache{turn}").of(slide, grid, None, encoder)
            ours += time.perf_counter() - began
            began = time.perf_counter()
            with torch.inference_mode():
                for part in images.split(64):
                    network(part)
            bare += time.perf_counter() - began
    done = patches // TURN * TURN
    print(f"{name}, float32, {done} patches of {encoder.side} px, {torch.get_num_threads()} threads")
    print(f"slide to cache        {done / ours:8.1f} patches/s")
    print(f"bare network in a loop {done / bare:7.1f} patches/s")
    print(f"ratio                 {bare / ours:8.2f}")


class Timed:
    """Counts the seconds in which features are asked for."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._of = FeatureCache.of

    def install(self) -> None:
        """Put the clock around the cache."""

        def of(cache: FeatureCache, *arguments: Any, **options: Any) -> Features:
            began = time.perf_counter()
            features = self._of(cache, *arguments, **options)
            np.array(features.values)  # through the memory map
            self.seconds += time.perf_counter() - began
            return features

        FeatureCache.of = of  # type: ignore[method-assign, assignment]


def second_method(names: list[str]) -> None:
    """Methods one after the other on the same slides, in one process, with one cache."""
    from typer.testing import CliRunner

    from benchmark.cli import app

    clock, seconds = Timed(), []
    clock.install()
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            words = ["run", "--method", name, "--dataset", "paip2019", "--data", "synthetic", "--preset", "quick"]
            words += ["--jobs", "0", "--cache", folder, "--store", f"sqlite:///{folder}/mlflow.db"]
            before, began = clock.seconds, time.perf_counter()
            done = CliRunner().invoke(app, words, catch_exceptions=False)
            assert done.exit_code == 0, done.output
            whole = time.perf_counter() - began
            seconds.append(clock.seconds - before)
            print(f"{name}: features {seconds[-1]:.3f} s, the whole run {whole:.1f} s", flush=True)
    print(f"features of the second method: {seconds[0] / seconds[1]:.0f} times cheaper")


def main() -> None:
    """Write, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--part", choices=["trunk", "pooled"], default="pooled")
    parser.add_argument("--input", type=int, default=224, help="side of a patch as the encoder sees it")
    parser.add_argument("--cells", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rate", type=int, metavar="N", help="N patches against the bare network")
    parser.add_argument("--methods", help="two methods on one cache: A,B")
    parser.add_argument("--folder", type=Path, help="of an earlier pass: only measure a later one")
    options = parser.parse_args()
    if options.rate is not None:
        rate("imagenet-lite0" if options.encoder == "resnet18" else options.encoder, options.rate)
        return
    if options.methods is not None:
        second_method(options.methods.split(","))
        return
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
