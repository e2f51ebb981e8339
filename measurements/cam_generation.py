"""CAM of training slides: one window at a time against pooled windows with single-label patches left out.

    python measurements/cam_generation.py [--root FOLDER] [--slides 4] [--input 64] [--scales 1,1.25,1.5,1.75,2]

Both ways use the same untrained net and the same patches, and their masks are compared pixel by pixel. Without `--root`
a miniature is painted. The first way is what the released code does with its patches, but for the files: every
window of every patch alone through the net, labels applied afterwards.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmark.context import Context
from benchmark.dataset import Dataset, Split
from benchmark.learning.nets.heads import resize
from benchmark.learning.training import place
from benchmark.methods.wsss.cam import pseudo_masks
from benchmark.methods.wsss.classifier import CamNet, create_classifier
from benchmark.methods.wsss.classifier_params import ClassifierParams
from benchmark.methods.wsss.merging import Merger, Place, refined
from benchmark.methods.wsss.patches import PatchSet, cut, patch_grid, read_whole, resized, standardised
from benchmark.registry import datasets
from benchmark.slides import Grid
from benchmark.supervision import Labels, Ledger, Supervision, View

Masks = dict[str, NDArray[np.int8]]


def one_at_a_time(net: CamNet, train: View, params: ClassifierParams, context: Context) -> Masks:
    """Every window of every patch alone; maps are added up on the CPU, then the labels are applied."""
    merger = Merger(params, len(context.classes))
    for slide in train:
        merger.open(slide)
        grid = patch_grid(slide, params)
        present = train.labels.patch(slide, grid, params.presence)
        for (row, col, x, y), pixels in zip(grid.patches(), cut(read_whole(slide, params), grid), strict=True):
            scores = refined(patch_scores(net, pixels, params, context.device), [present[row, col]])
            merger.scored([Place(slide.id, x, y, present[row, col])], scores)
    return merger.finish()


@torch.inference_mode()
def patch_scores(net: CamNet, pixels: NDArray[np.uint8], params: ClassifierParams, device: str) -> torch.Tensor:
    """E of one patch, 1 × K × p × p."""
    side = params.patch_side
    patch = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    total = torch.zeros(1)
    for scale in params.cam_scales:
        enlarged = int(side * scale)
        image = resized(patch, enlarged, "bicubic")
        scores, cover = torch.zeros(1, net.linear.out_features, enlarged, enlarged), torch.zeros(enlarged, enlarged)
        for _, _, x, y in Grid.windows((enlarged, enlarged), side, params.patch_stride).patches():
            area = (..., slice(y, y + side), slice(x, x + side))
            window = standardised(resized(image[area], params.cls_input), params, device)
            scores[area] += resize(net.score_maps(window), (side, side)).cpu()
            cover[area] += 1
        total = total + resize(scores / cover, (side, side))
    return total


def timed(name: str, work: Callable[[], Masks], console: Console) -> tuple[Masks, float]:
    """What `work` returns, and its seconds."""
    with console.status(name):
        began = time.perf_counter()
        masks = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return masks, time.perf_counter() - began


@contextmanager
def data(root: Path | None, slides: int) -> Iterator[Dataset]:
    """GlaS, or a miniature of it."""
    glas = datasets().load("glas")
    none_aside = glas.Options.model_validate({"validation": 0.0})
    if root is not None:
        yield glas(root, none_aside)
        return
    with tempfile.TemporaryDirectory() as folder:
        glas.synthesize(Path(folder) / "glas", slides=2 * slides + 2, seed=0)
        yield glas(Path(folder) / "glas", none_aside)


def main() -> None:
    """Print both times, their ratio, and whether the masks agree; exit 1 when they do not."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--root", type=Path, help="folder of GlaS; default: a miniature")
    parser.add_argument("--slides", type=int, default=4)
    parser.add_argument("--backbone", default="test_resnet")
    parser.add_argument("--input", type=int, default=64)
    parser.add_argument("--scales", default="1,1.25,1.5,1.75,2")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    console = Console()
    params = ClassifierParams(
        cls_backbone=options.backbone,
        cls_pretrained=False,
        cls_input=options.input,
        cam_scales=tuple(float(scale) for scale in options.scales.split(",")),
        cam_batch=options.batch,
    )
    with data(options.root, options.slides) as dataset:
        slides = list(dataset.slides(Split.TRAIN))[: options.slides]
        train = View(slides, Labels(dataset, slides, {Supervision.PATCH}, Ledger()))
        geometry: Any = SimpleNamespace(classes=dataset.classes)
        context = Context(geometry=geometry, folder=Path(), ledger=Ledger(), device=options.device)
        torch.manual_seed(0)
        net = create_classifier(params, len(dataset.classes), initialise=True)
        warm(net, train, params, options.device)
        alone, slow = timed("one at a time", lambda: one_at_a_time(net, train, params, context), console)
        pooled, fast = timed("pooled", lambda: pseudo_masks(net, train, params, context, refine=True), console)
        patches = PatchSet.of(train, params)
    same = all(np.array_equal(alone[name], pooled[name]) for name in alone)
    table = Table("", "value")
    table.add_row("patches", str(len(patches)))
    table.add_row("of which with a single label", f"{(patches.present.sum(axis=1) == 1).mean():.0%}")
    table.add_row("one window at a time", f"{slow:.1f} s")
    table.add_row("pooled, single-label patches skipped", f"{fast:.1f} s")
    table.add_row("ratio", f"{slow / fast:.1f} ×")
    table.add_row("identical masks", "yes" if same else "NO")
    console.print(table)
    if not same:
        raise SystemExit(1)


def warm(net: CamNet, train: View, params: ClassifierParams, device: str) -> None:
    """Give the norms the statistics of some patches, and the device its first pass; then evaluation mode."""
    place(net, device)
    pixels = np.stack(PatchSet.of(train, params).pixels[:32])
    images = resized(torch.from_numpy(pixels).permute(0, 3, 1, 2), params.cls_input)
    with torch.no_grad():
        for _ in range(30):
            net.train()(standardised(images, params, device))
    net.eval()


if __name__ == "__main__":
    main()
