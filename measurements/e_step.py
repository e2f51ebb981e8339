"""The E-step's pass over a slide: patches per second against a plain loop, and peak memory on 100 000 × 100 000 px.

python measurements/e_step.py [--encoder mobilenetv3_small_050] [--side 8192] [--patch 512] [--rounds 3] [--huge 100000]

The loop reads a patch with OpenSlide, predicts it, and takes the next, in one process with as many torch threads as
there are cores. Ours is what `hybrid` does: strips that are read once though patches overlap, a batch read while the
one before is predicted, each patch by one core, BatchNorm folded. Both give the highest pixel probability of every
patch. The rounds alternate; the ratio is that of the medians. CPU seconds, readers included, say how busy the cores are
in either; no more is to be gained than the loop leaves idle or ours saves. Memory is that of a process apart, which
scans a slide of tissue in the middle of glass.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import torch
from huge_slide import write
from patch_streaming import bands, cpu
from torch import nn

from benchmark.learning.mil.lattice import Lattice
from benchmark.methods.hybrid.e_step import look
from benchmark.methods.hybrid.hybrid_nets import PatchModel, patch_net, probabilities, scaled
from benchmark.methods.hybrid.hybrid_params import PixelParams
from benchmark.slides import Grid, Slide, tissue_mask, write_pyramid


def lattice(path: Path, params: PixelParams, *, everywhere: bool) -> Lattice:
    """All windows of a slide, or those with tissue."""
    slide = Slide("slide", path, "p", 0.5)
    grid = Grid.windows(slide.size, params.patch, params.patch - params.overlap)
    where = np.ones(grid.shape, np.bool_) if everywhere else tissue_mask(slide, grid, "grey-otsu")
    return Lattice(slide, grid, params.patch, where, Grid.whole(slide.size))


def plain_net(params: PixelParams) -> nn.Module:
    torch.manual_seed(0)
    return patch_net(params, 0, initialise=False).eval()


def model_of(params: PixelParams) -> PatchModel:
    return PatchModel(params, [plain_net(params).state_dict()], "cpu")


def loop(model: PatchModel, patches: Lattice, params: PixelParams) -> dict[int, float]:
    """One patch after the other."""
    found = {}
    net = plain_net(params)
    with openslide.OpenSlide(patches.slide.path) as slide:
        for number in patches.numbers.tolist():
            pixels = slide.read_region(patches.corner(number), 0, (patches.side, patches.side)).convert("RGB")
            with torch.inference_mode():
                logits = net(scaled(np.asarray(pixels)[None], params, "cpu"))
            found[number] = float(torch.sigmoid(logits).max())
    return found


def ours(model: PatchModel, patches: Lattice, params: PixelParams) -> dict[int, float]:
    """As the method does it."""
    found: dict[int, float] = {}
    for numbers, logits in look(model, patches, params.score_batch):
        highest = probabilities(logits).max(axis=(1, 2))
        found.update(zip(numbers.tolist(), highest.tolist(), strict=True))
    return found


def scanned(path: Path, params: dict[str, Any]) -> tuple[int, float, float]:
    """Patches, seconds and peak MiB of scanning a slide in this process and its readers (the larger one)."""
    own = PixelParams(**params)
    began = time.perf_counter()
    number = len(ours(model_of(own), lattice(path, own, everywhere=False), own))
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return number, time.perf_counter() - began, peak / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="mobilenetv3_small_050")
    parser.add_argument("--side", type=int, default=8192, help="side of the slide for the rate, px")
    parser.add_argument("--patch", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--huge", type=int, default=100_000, help="side of the slide for the memory, px; 0: none")
    parser.add_argument("--tissue", type=int, default=8_000, help="side of its tissue, px")
    options = parser.parse_args()
    settings = {"encoder": options.encoder, "encoder_pretrained": False, "patch": options.patch}
    settings |= {"overlap": options.patch // 4, "mpp": None}
    params = PixelParams(**settings)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        write_pyramid(path, bands(options.side), (options.side, options.side), mpp=0.5)
        model, patches = model_of(params), lattice(path, params, everywhere=True)
        times: dict[str, list[tuple[float, float]]] = {"loop": [], "ours": []}
        seen: dict[str, dict[int, float]] = {}
        for _ in range(options.rounds):
            for work in (loop, ours):
                began, used = time.perf_counter(), cpu()
                seen[work.__name__] = work(model, patches, params)
                times[work.__name__].append((time.perf_counter() - began, cpu() - used))
        difference = max(abs(seen["loop"][number] - seen["ours"][number]) for number in seen["loop"])
        (slow, lone), (fast, shared) = (np.median(spent, axis=0) for spent in times.values())
        number = len(patches.numbers)
        rates = f"loop {number / slow:.1f}/s, E-step {number / fast:.1f}/s, ratio {slow / fast:.2f}"
        print(f"{options.encoder}, {len(patches.numbers)} patches of {options.patch} px: {rates}", flush=True)
        each = f"{lone / number * 1000:.0f} and {shared / number * 1000:.0f} ms"
        print(f"CPU of a patch: {each}; cores busy in the loop: {lone / slow:.2f}, in the E-step: {shared / fast:.2f}")
        print(f"largest difference of a highest probability: {difference:.1e}", flush=True)
        for side in (options.huge // 4, options.huge) if options.huge else ():
            huge = Path(folder) / f"{side}.tif"
            write(huge, side, options.tissue)
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                number, seconds_, peak = pool.submit(scanned, huge, settings).result()
            print(f"{side} × {side} px: {number} patches in {seconds_:.0f} s, peak {peak:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
