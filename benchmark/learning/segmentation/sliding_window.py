"""Scoring a slide with the segmentation net: tiles, scales, flips, sliding windows (OEEM, §3.1; released code)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.learning.augment import normalised, recompressed
from benchmark.learning.nets.heads import resize
from benchmark.learning.segmentation.mask_training import pixel_transform
from benchmark.learning.segmentation.segmentation_params import SegmentationParams
from benchmark.learning.training import autocast
from benchmark.slides import Grid, ScoreAccumulator

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides import ScoreMap, Slide

T = TypeVar("T")


def score_slide(net: nn.Module, slide: Slide, params: SegmentationParams, context: Context) -> ScoreMap:
    """Probability of the positive class on the evaluation grid: tile by tile, overlaps averaged.

    `net` is in evaluation mode on the device. Only some tiles are in memory at a time, never the whole slide.
    """
    width, height = (min(params.tile, length) for length in slide.size)
    mean, std = pixel_transform(params)
    scores = ScoreAccumulator(context.geometry.evaluation_grid(slide))
    places = Grid.windows(slide.size, params.tile, params.tile_stride).patches()
    for group in _groups(places, max(1, params.window_batch // 2)):
        tiles = np.stack([recompressed(slide.read(x, y, width, height), params.jpeg_quality) for _, _, x, y in group])
        positive = tile_probabilities(net, normalised(tiles, mean, std).to(context.device), params)
        for (_, _, x, y), probabilities in zip(group, positive.cpu().numpy(), strict=True):
            scores.add(x, y, probabilities)
    return scores.finish()


@torch.inference_mode()
def tile_probabilities(net: nn.Module, tiles: Tensor, params: SegmentationParams) -> Tensor:
    """Mean probability of the positive class over scales and flips: B × 3 × H × W → B × H × W, float32.

    Each view (the resized tile, and its mirror image) is scored with a sliding window, its logits are brought to
    H × W, then come softmax and un-flipping. All views and windows of one scale share forward passes.
    """
    number, _, height, width = tiles.shape
    total = torch.zeros(number, height, width, device=tiles.device)
    for scale in params.tta_scales:
        views = resize(tiles, (int(height * scale), int(width * scale)))
        if params.tta_flip:
            views = torch.cat([views, views.flip(-1)])
        with autocast(views.device.type, params.amp == "all"):
            logits = window_logits(net, views, params.window, params.window_stride, params.window_batch)
        positive = 1 - resize(logits, (height, width)).softmax(dim=1)[:, 0]
        total += positive[:number]
        if params.tta_flip:
            total += positive[number:].flip(-1)
    return total / (len(params.tta_scales) * (2 if params.tta_flip else 1))


def window_logits(net: nn.Module, views: Tensor, side: int, stride: int, batch: int) -> Tensor:
    """Logits of equally large views by a sliding window, overlaps averaged: B × 3 × H × W → B × K × H × W, float32.

    A view smaller than the window is scored whole, without padding. The windows of all views are one list that is
    cut into forward passes of `batch`.
    """
    number, _, height, width = views.shape
    size = (min(side, height), min(side, width))
    places = [
        (view, slice(y, y + size[0]), slice(x, x + size[1]))
        for _, _, x, y in Grid.windows((width, height), side, stride).patches()
        for view in range(number)
    ]
    total = torch.zeros(0)
    cover = torch.zeros(height, width, device=views.device)
    for group in _groups(places, batch):
        logits, _ = net(torch.stack([views[view, :, y, x] for view, y, x in group]))
        logits = resize(logits.float(), size)
        if not total.numel():
            total = torch.zeros(number, logits.shape[1], height, width, device=views.device)
        for (view, y, x), values in zip(group, logits, strict=True):
            total[view, :, y, x] += values
            if view == 0:
                cover[y, x] += 1
    return total / cover


def _groups(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """The items in tuples of `size`, the last one shorter."""
    iterator = iter(items)
    while group := tuple(islice(iterator, size)):
        yield group
