"""Why do nets trained on patches make worse masks than frozen maps of whole slides? The steps between the two.

    python measurements/mask_ablation.py --data GLAS --fit sgd|adamw|regression [--slides 20] [--set NAME=VALUE …]
    python measurements/mask_ablation.py --data GLAS --fit slides --stage 3 [--set …]

`sgd`, `adamw`: the classifier of `cam-seg` with `cam_from=classifier`, trained as the rivals' `quick` says;
`regression`: its encoder stays as it is and the linear layer is a logistic regression on the means of its maps over the
same patches; `slides`: the frozen maps of whole slides, of one stage alone (of five, 0 the shallowest) with `--stage`.
Prints the pooled mIoU of the pseudo-masks of every n-th training slide: with maps of patches, and with the same layer
on maps of whole slides. No test slide is opened and nothing is stored.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmark.config import RunRequest
from benchmark.context import Context, SilentReporter
from benchmark.dataset import Split
from benchmark.learning.segmentation.segmenter import Masks
from benchmark.methods.wsss import classifier, frozen_stages
from benchmark.methods.wsss.cam import ClassifierCam, pseudo_masks
from benchmark.methods.wsss.classifier import CamNet, create_classifier, train_classifier
from benchmark.methods.wsss.classifier_params import NET_QUICK, ClassifierParams
from benchmark.methods.wsss.frozen_stages import FrozenStages, fit_linear
from benchmark.methods.wsss.patch_training import training_patches
from benchmark.methods.wsss.patches import read_whole, resized, standardised
from benchmark.running.appraise import Appraiser
from benchmark.running.attempt import context_of
from benchmark.running.device import prepare
from benchmark.running.evaluate import Examination
from benchmark.running.job import Job, open_job
from benchmark.running.plan import plan
from benchmark.seeds import seed_of
from benchmark.supervision import Ledger, View


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--fit", choices=("sgd", "adamw", "regression", "slides"), default="sgd")
    parser.add_argument("--stage", type=int)
    parser.add_argument("--slides", type=int, default=20)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    return parser.parse_args()


def fitted(how: str, train: View, params: ClassifierParams, context: Context) -> CamNet:
    """The classifier: trained, or its encoder as published under a fitted layer."""
    if how == "regression":
        net = create_classifier(params, len(context.classes), initialise=True).eval()
        patches = training_patches(train, params, context.classes)
        means = []
        with torch.inference_mode():
            for start in range(0, len(patches), params.cam_batch):
                part = np.stack(patches.pixels[start : start + params.cam_batch])
                pixels = torch.from_numpy(part).permute(0, 3, 1, 2)
                maps = net.fused(standardised(resized(pixels, params.cls_input), params, "cpu"))
                means.append(maps.mean(dim=(2, 3)).numpy())
        weight, bias = fit_linear(np.concatenate(means), patches.present, params.frozen_c, context.classes)
        net.linear.load_state_dict({"weight": weight, "bias": bias})
        return net
    if how == "adamw":
        classifier._optimiser = lambda net, params: torch.optim.AdamW(  # type: ignore[assignment]
            [weight for weight in net.parameters() if weight.requires_grad], params.cls_lr, weight_decay=0.01
        )
    nothing = View([], train.labels)
    weights = context.stage(
        "classifier",
        lambda: train_classifier(train, nothing, params, context),
        uses=ClassifierCam.learns_from,
    )
    net = create_classifier(params, len(context.classes), initialise=False)
    net.load_state_dict(weights)
    return net.eval()


def whole_maps(net: CamNet, train: View, params: ClassifierParams) -> dict[str, Any]:
    """The score map of every slide, at the resolution at which the net saw patches."""
    scores = {}
    with torch.inference_mode():
        for slide in train:
            pixels = torch.from_numpy(read_whole(slide, params)).permute(2, 0, 1)[None]
            sides = [round(side * params.cls_input / params.patch_side) for side in pixels.shape[-2:]]
            image = functional.interpolate(pixels, size=sides, mode="bilinear", antialias=True)
            scores[slide.id] = net.score_maps(standardised(image, params, "cpu"))[0].numpy()
    return scores


def only(stage: int) -> None:
    """Let frozen maps be those of one stage."""

    def fused(maps: frozen_stages.FrozenMaps, image: Tensor, grid: list[int]) -> Tensor:
        return frozen_stages._resized(maps._stages(image)[stage].float().contiguous(), grid)[0]

    frozen_stages.FrozenMaps._fused = fused  # type: ignore[method-assign]


def pooled(job: Job, train: View, masks: Masks, context_for: Callable[[Examination], Context]) -> float:
    """mIoU of the masks of all slides together."""
    examination = Examination(job.seen)
    context_for(examination).examine("masks", ((slide, masks[slide.id]) for slide in train))
    (value,) = examination.results().values()
    return value


def settings_of(options: argparse.Namespace) -> tuple[str, ...]:
    """The rivals' `quick`, or frozen maps at the resolution at which it shows patches; then `--set`."""
    if options.fit == "slides":
        stages = () if options.stage is None else ("frozen_stages=5",)
        return (f"frozen_scales=[{NET_QUICK['cls_input'] / 112:.3f}]", *stages, *options.settings)
    quick: Mapping[str, Any] = NET_QUICK
    values = (f"{name}={list(value) if isinstance(value, tuple) else value}" for name, value in quick.items())
    return ("cam_from=classifier", *values, *options.settings)


def main() -> None:
    """Fit, make masks, print."""
    options = parsed()
    request = RunRequest(
        method="cam-seg", dataset="glas", data=options.data, settings=settings_of(options), seeds=(0,), device="cpu"
    )
    (spec,) = plan(request)
    with tempfile.TemporaryDirectory() as folder:
        job = open_job(spec, Path(folder))
        prepare("cpu", seed_of("run", 0))
        ledger, reporter = Ledger(), SilentReporter()

        def context_for(examination: Examination) -> Context:
            return context_of(job, ledger, reporter, "cpu", examination, Appraiser(job.seen, [], job.data_identity))

        context = context_for(Examination(job.seen))
        every = job.view(Split.TRAIN, ledger)
        slides = list(every)[:: max(1, len(every) // options.slides)][: options.slides]
        train, params = View(slides, every.labels), cast("ClassifierParams", job.method.params)
        began, source = time.process_time(), FrozenStages(params)
        print(options.fit, "" if options.stage is None else f"stage {options.stage}", *options.settings)
        if options.fit == "slides":
            if options.stage is not None:
                only(options.stage)
            scores = source.learn(train, View([], every.labels), context)["scores"]
        else:
            net = fitted(options.fit, train, params, context)
            masks = pseudo_masks(net, train, params, context, refine=True)
            print(f"  maps of patches: {pooled(job, train, masks, context_for):.3f}")
            scores = whole_maps(net, train, params)
        masks = source.masks({"scores": scores}, train, context, refine=True)
        print(f"  maps of whole slides: {pooled(job, train, masks, context_for):.3f}")
        losses = [value for name, value, _ in reporter.history if name.endswith("/loss")]
        if losses:
            print(f"  loss {np.mean(losses[:5]):.3f} → {np.mean(losses[-5:]):.3f}")
        print(f"  {time.process_time() - began:.0f} CPU seconds")


if __name__ == "__main__":
    main()
