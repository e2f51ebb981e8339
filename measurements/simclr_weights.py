"""An encoder trained without labels on the tissue of a set's training slides, as a weight file for any method.

    python measurements/simclr_weights.py DATA --dataset camelyon16 --out simclr.pth [--random] [--seed 0] [--steps 300]

SimCLR at 64 px on windows of 80 px from the middle of the patches that hybrid supervision's `quick` looks at; it starts
from the encoder's own weights, or at random with --random. No label and no validation or test slide is read. Prints the
loss at the beginning and at the end, and CPU seconds. Then: --set encoder_weights=simclr.pth.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.config import RunRequest
from benchmark.context import Context, SilentReporter
from benchmark.dataset import Split
from benchmark.learning.encoders.pretraining import patches_of_slide, pretrained_on
from benchmark.learning.mil.cohort import lattice_of
from benchmark.learning.mil.place_params import PlaceParams
from benchmark.running.appraise import Appraiser
from benchmark.running.attempt import context_of
from benchmark.running.device import prepare
from benchmark.running.evaluate import Examination
from benchmark.running.job import open_job
from benchmark.running.plan import plan
from benchmark.seeds import seed_of
from benchmark.slides import Slide
from benchmark.supervision import Ledger

WINDOW = 80
"""Side of a window, px."""
READ = 256
"""Windows that are held in memory while they are written down."""


@dataclass(frozen=True)
class Pretraining:
    """What `pretrained_on` asks for."""

    encoder: str
    encoder_pretrained: bool
    encoder_steps: int
    encoder_batch: int
    encoder_weights: Path | None = None
    input_side: int = 64
    encoder_lr: float = 1e-3
    encoder_patches: int = 6000


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--dataset", default="camelyon16")
    parser.add_argument("--encoder", default="imagenet-lite0")
    parser.add_argument("--random", action="store_true", help="start at random, not from the encoder's own weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def windows(
    slides: Sequence[Slide], place: PlaceParams, params: Pretraining, context: Context
) -> Iterator[NDArray[np.uint8]]:
    """Windows of the slides' tissue, a batch at a time: n × 80 × 80 × 3."""
    for slide in slides:
        lattice = lattice_of(slide, place, context, place.patch)
        margin = (place.patch - WINDOW) // 2
        middle = slice(margin, margin + WINDOW)
        chosen = np.sort(patches_of_slide(slide.id, lattice.numbers, len(slides), params, context))
        for first in range(0, chosen.size, READ):
            yield np.stack([lattice.read(int(number))[middle, middle] for number in chosen[first : first + READ]])


def main() -> None:
    """Train, write, print."""
    options = parsed()
    request = RunRequest(
        method="hybrid", dataset=options.dataset, data=options.data, preset="quick", seeds=(options.seed,), device="cpu"
    )
    (spec,) = plan(request)
    params = Pretraining(options.encoder, not options.random, options.steps, options.batch)
    with tempfile.TemporaryDirectory() as folder:
        job = open_job(spec, Path(folder))
        prepare("cpu", seed_of("run", options.seed))
        reporter, examination = SilentReporter(), Examination(job.seen)
        context = context_of(job, Ledger(), reporter, "cpu", examination, Appraiser(job.seen, [], job.data_identity))
        began = time.process_time()
        slides, place = list(job.view(Split.TRAIN, Ledger())), spec.params
        assert isinstance(place, PlaceParams), "the method says where patches lie"
        batches = windows(slides, place, params, context)
        state = context.stage("simclr", lambda: pretrained_on(batches, WINDOW, params, context))
        took = time.process_time() - began
    torch.save(dict(state), options.out)
    losses = [value for name, value, _ in reporter.history if name.endswith("loss")]
    print(f"{options.out}: loss {losses[0]:.3f} → {losses[-1]:.3f}, {took:.0f} CPU seconds")


if __name__ == "__main__":
    main()
