"""The first stage of a weakly supervised method alone: how good are its masks of the training slides?

    python measurements/mask_sources.py --method sc-cam --data GLAS [--slides 20] [--preset quick]
        [--stages=-4,-3,-2] [--set NAME=VALUE …]

Learns from the patch labels of every n-th training slide and prints the pooled mIoU of the pseudo-masks of those
slides, the loss at the beginning and at the end of each training, and CPU seconds. No test slide is opened and nothing
is stored: for finding out what a setting does before a whole run. `--stages`: which three stages of the encoder the net
looks at; by default the last three.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmark.config import RunRequest
from benchmark.context import SilentReporter
from benchmark.dataset import Split
from benchmark.learning.nets import backbones
from benchmark.methods.wsss.cam_seg import CamPipeline
from benchmark.running.appraise import Appraiser
from benchmark.running.attempt import context_of
from benchmark.running.device import prepare
from benchmark.running.evaluate import Examination
from benchmark.running.job import open_job
from benchmark.running.plan import plan
from benchmark.seeds import seed_of
from benchmark.supervision import Ledger, View


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="sc-cam")
    parser.add_argument("--dataset", default="glas")
    parser.add_argument("--data", required=True)
    parser.add_argument("--slides", type=int, default=20)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--stages", default=",".join(map(str, backbones.OUT)))
    parser.add_argument("--set", action="append", default=[], dest="settings")
    return parser.parse_args()


def main() -> None:
    """Learn, make masks, print."""
    options = parsed()
    backbones.OUT = tuple(int(stage) for stage in options.stages.split(","))  # type: ignore[assignment]
    request = RunRequest(
        method=options.method,
        dataset=options.dataset,
        data=options.data,
        preset=options.preset,
        settings=tuple(options.settings),
        seeds=(0,),
        device="cpu",
    )
    (spec,) = plan(request)
    with tempfile.TemporaryDirectory() as folder:
        job = open_job(spec, Path(folder))
        prepare("cpu", seed_of("run", 0))
        ledger, reporter, examination = Ledger(), SilentReporter(), Examination(job.seen)
        context = context_of(job, ledger, reporter, "cpu", examination, Appraiser(job.seen, [], job.data_identity))
        every = job.view(Split.TRAIN, ledger)
        slides = list(every)[:: max(1, len(every) // options.slides)][: options.slides]
        began = time.process_time()
        assert isinstance(job.method, CamPipeline), f"{options.method} makes no masks from patch labels"
        job.method.mask_source(View(slides, every.labels), job.view(Split.VALIDATION, ledger), context)
        took = time.process_time() - began
    losses: dict[str, list[float]] = defaultdict(list)
    for name, value, _ in reporter.history:
        losses[name].append(value)
    print(options.method, " ".join(options.settings), f"on {len(slides)} training slides: {took:.0f} CPU seconds")
    for name, values in losses.items():
        print(f"  {name}: {values[0]:.3f} → {values[-1]:.3f}")
    for name, value in examination.results().items():
        print(f"  {name}: {value:.3f}")


if __name__ == "__main__":
    main()
