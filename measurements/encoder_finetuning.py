"""Seconds of an epoch of encoder fine-tuning by the share ρ of hard negatives, and peak memory. On a CPU CPU-seconds.

python measurements/encoder_finetuning.py [--encoder imagenet-lite0] [--side 64] [--patches 2500] [--stages 2]

One slide of patches at random places, two fifths of them of a positive bag; scores are random. An epoch has both
steps of HNM and reads its patches from the slide, as the method does. Each ρ runs in a process of its own, whose peak
memory is told.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from patch_streaming import bands

from benchmark.context import Context, SilentReporter
from benchmark.methods.mil.finetuning import Epoch, Mix, finetune
from benchmark.methods.mil.finetuning_params import HnmParams
from benchmark.methods.mil.hnm import Hnm
from benchmark.methods.mil.instances import Instances, SlidePatches
from benchmark.methods.mil.round_encoder import contrastive_net, started
from benchmark.running.device import prepare
from benchmark.slides import Grid, Slide, write_pyramid
from benchmark.supervision import Ledger


class Nowhere:
    """Knows no dataset: nothing here asks for one."""

    classes = ("negative", "positive")


def epoch(path: Path, ratio: float, patches: int, device: str, settings: dict[str, object]) -> tuple[int, float, float]:
    """Steps, seconds and peak MiB of one epoch in this process."""
    prepare(device, 0)
    params = HnmParams(neg_ratio=ratio, epochs=2, warmup=0, encoder_training="none", save_every=10_000, **settings)
    method = Hnm(params)
    slide = Slide("slide", path, "p", 0.5)
    grid = Grid.windows(slide.size, params.input_side, params.input_side)
    rng = np.random.default_rng(0)
    where = np.zeros(grid.shape, np.bool_)
    where.ravel()[rng.permutation(where.size)[:patches]] = True
    positive, scores = rng.random(patches) < 0.4, rng.random(patches)
    instances = Instances([SlidePatches(slide, grid, where, positive)], params.input_side, room=0.0)
    with tempfile.TemporaryDirectory() as folder:
        context = Context(
            geometry=Nowhere(),  # type: ignore[arg-type]
            folder=Path(folder),
            ledger=Ledger(),
            device=device,
            reporter=SilentReporter(),
        ).bind(method)
        net = contrastive_net({"encoder": started(instances, params, context), "head": None}, params, context)
        mixes = (Mix.of(params.batch, share) for share in (params.positive_share, params.query_share))
        batches = Epoch.of(method.pools(0, scores, positive), *mixes, np.random.default_rng(0), both=True)
        began = time.process_time() if device == "cpu" else time.perf_counter()

        def train() -> dict[str, object]:
            return finetune(net, range(1), lambda _: batches, instances, params, context)

        context.stage("encoder_1", train, uses=tuple(HnmParams.model_fields))
        seconds = (time.process_time() if device == "cpu" else time.perf_counter()) - began
    return len(batches), seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="imagenet-lite0")
    parser.add_argument("--side", type=int, default=64, help="side of a patch, px")
    parser.add_argument("--patches", type=int, default=2500)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--stages", type=int, help="stages that are tuned, from the last on; default: all")
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.05, 0.2, 1.0])
    options = parser.parse_args()
    settings = {"encoder": options.encoder, "input_side": options.side, "batch": options.batch, "query_share": 0.1}
    settings["tuned_stages"] = options.stages
    settings["encoder_pretrained"] = options.encoder != "simclr-resnet18"
    extent = -(-(int(np.ceil(options.patches**0.5)) + 1) * options.side // 512) * 512
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        write_pyramid(path, bands(extent), (extent, extent), mpp=0.5)
        for ratio in options.ratios:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                work = (path, ratio, options.patches, options.device, settings)
                steps, seconds, peak = pool.submit(epoch, *work).result()
            each = seconds / steps
            print(
                f"ρ = {ratio:g}: {steps} steps in {seconds:.1f} s, {each:.2f} s each, peak {peak:.0f} MiB", flush=True
            )


if __name__ == "__main__":
    main()
