"""Interactive annotation at full size: retrieval, a round, and memory.

    python measurements/interactive_speed.py [--threads 2] [--items 100000] [--reviews 4000] [--embedded 10000]
        [--input-side 96] [--max-steps 60]

Random maps of the shape that the preset quick stores (imagenet-lite0 before its last convolution) lie on disk as the
feature cache has them, read through a memory map. Timed: distance, order and CNFP over all embeddings; a round of the
loop's nets (both tuned on all reviews, a part of the maps embedded, classified and ranked anew). Nothing of it is a
result about tissue.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

K, DIM = 10, 512


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--reviews", type=int, default=4_000)
    parser.add_argument("--embedded", type=int, default=10_000)
    parser.add_argument("--input-side", type=int, default=96, help="side of a patch as the encoder sees it")
    parser.add_argument("--max-steps", type=int, default=60, help="optimiser steps of a round and net")
    parser.add_argument("--folder", type=Path, help="where the maps are written, by default a temporary folder")
    return parser.parse_args()


def retrieval(items: int) -> tuple[list[float], list[float]]:
    """Seconds of distance and order, and of CNFP on the list, ten times each."""
    from benchmark.methods.interactive.retrieval import closest_first
    from benchmark.methods.interactive.strategies import STRATEGIES, Ranking

    rng = np.random.default_rng(0)
    embeddings, query = rng.normal(size=(items, DIM)).astype(np.float32), rng.normal(size=DIM).astype(np.float32)
    positive = rng.random(items) > 0.5
    numbers = np.arange(items)
    ranked, chosen = [], []
    for _ in range(10):
        began = time.perf_counter()
        order = closest_first(query, embeddings)
        ranked.append(time.perf_counter() - began)
        STRATEGIES["cnfp"].select(Ranking(numbers[order], positive=positive[order]), K, rng)
        chosen.append(time.perf_counter() - began)
    return ranked, chosen


class MapsOnDisk:
    """Random maps in one .npy file, read as a search base reads those of the cache."""

    def __init__(self, path: Path, items: int, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng(1)
        self.shape = shape
        values = np.lib.format.open_memmap(path, "w+", np.float32, (items, int(np.prod(shape))))
        for start in range(0, items, 2_000):
            values[start : start + 2_000] = rng.random((min(2_000, items - start), values.shape[1]), np.float32)
        values.flush()
        self.values = np.load(path, mmap_mode="r")

    def maps(self, numbers: NDArray[np.int64]) -> Tensor:
        """The maps of some items."""
        import torch

        return torch.from_numpy(np.asarray(self.values[numbers])).view(len(numbers), *self.shape)


def peak_mib() -> float:
    """The most memory that this process had, the pages of the memory map included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print what was measured."""
    options = parsed()
    import faiss
    import torch

    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    from benchmark.learning.encoders.cut import cut_encoder
    from benchmark.methods.interactive.interactive_params import QUICK, InteractiveParams
    from benchmark.methods.interactive.retrieval import closest_first
    from benchmark.methods.interactive.two_nets import TwoNets

    ranked, chosen = retrieval(options.items)
    for name, seconds in (("distance and order", ranked), ("with CNFP", chosen)):
        middle, worst = statistics.median(seconds) * 1000, max(seconds) * 1000
        print(f"retrieval, {options.items} × {DIM}, {name}: {middle:.0f} ms (worst of 10: {worst:.0f})")
    params = InteractiveParams(**{**QUICK, "input_side": options.input_side, "max_steps": options.max_steps})
    encoder = cut_encoder(
        params.encoder,
        trainable_from=params.trainable_from,
        pretrained=True,
        weights=None,
        side=params.input_side,
    )
    before = peak_mib()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        base = MapsOnDisk(Path(folder) / "values.npy", options.embedded + options.reviews, encoder.shape)
        size = base.values.nbytes / 2**20
        nets = TwoNets(encoder, params, 9, "cpu")
        rng = np.random.default_rng(2)
        reviewed, rest = np.arange(options.reviews), np.arange(options.reviews, len(base.values))
        labels = rng.integers(0, 9, options.reviews)
        began, processor = time.perf_counter(), time.process_time()
        nets.fine_tune(base.maps(reviewed), labels, 0)
        tuned = time.perf_counter()
        embeddings = nets.embed(base, rest)
        nets.probabilities(base, rest)
        embedded = time.perf_counter()
        closest_first(embeddings[0], embeddings)
        ended, used = time.perf_counter(), time.process_time() - processor
    print(
        f"a round: {ended - began:.1f} s on {options.threads} threads "
        f"(both nets tuned on {options.reviews} reviews: {tuned - began:.1f} s; {options.embedded} patches embedded "
        f"and classified: {embedded - tuned:.1f} s; ranked: {1000 * (ended - embedded):.0f} ms)"
    )
    print(f"of that, processor time: {used:.1f} s; load of the machine: {os.getloadavg()[0]:.1f}")
    print(f"memory: {before:.0f} MiB before, {peak_mib():.0f} MiB at most; the maps take {size:.0f} MiB")


if __name__ == "__main__":
    main()
