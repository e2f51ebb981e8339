"""Scoring a slide with the segmentation net: tiles, scales, flips, sliding windows (OEEM, §3.1; released code)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import DataError
from benchmark.learning.augment import normalised, recompressed, resized_whole
from benchmark.learning.nets.heads import resize
from benchmark.learning.segmentation.mask_training import pixel_transform
from benchmark.learning.segmentation.segmentation_params import (
    LARGEST,
    SegmentationParams,
    input_multiple,
    scoring_window,
)
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
    if params.whole_side is not None:
        return _score_whole(net, slide, params.whole_side, params, context)
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


def _score_whole(net: nn.Module, slide: Slide, side: int, params: SegmentationParams, context: Context) -> ScoreMap:
    """The slide resized to the net's side, its probabilities brought back to the slide's size."""
    width, height = slide.size
    if width * height > LARGEST:
        problem = f"slide {slide.id!r} has {width} × {height} px, too large to be scored in one piece"
        raise DataError(problem, fix="--set whole_side=none")
    mean, std = pixel_transform(params)
    image = resized_whole(recompressed(slide.read(0, 0, width, height), params.jpeg_quality), side)
    positive = tile_probabilities(net, normalised(image[None], mean, std).to(context.device), params)
    scores = ScoreAccumulator(context.geometry.evaluation_grid(slide))
    scores.add(0, 0, resize(positive[None], (height, width))[0, 0].cpu().numpy())
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
            logits = window_logits(
                net, views, *scoring_window(params), params.window_batch, multiple=input_multiple(params)
            )
        positive = 1 - resize(logits, (height, width)).softmax(dim=1)[:, 0]
        total += positive[:number]
        if params.tta_flip:
            total += positive[number:].flip(-1)
    return total / (len(params.tta_scales) * (2 if params.tta_flip else 1))


def window_logits(net: nn.Module, views: Tensor, side: int, stride: int, batch: int, *, multiple: int = 1) -> Tensor:
    """Logits of equally large views by a sliding window, overlaps averaged: B × 3 × H × W → B × K × H × W, float32.

    A view smaller than the window is scored whole. Windows are padded with 0, at the right and below, to the next
    `multiple` and their logits cut. The windows of all views are one list that is cut into forward passes of `batch`.
    """
    number, _, height, width = views.shape
    size = (min(side, height), min(side, width))
    places = [
        (view, slice(y, y + size[0]), slice(x, x + size[1]))
        for _, _, x, y in Grid.windows((width, height), side, stride).patches()
        for view in range(number)
    ]
    padding = (0, -size[1] % multiple, 0, -size[0] % multiple)
    total = torch.zeros(0)
    cover = torch.zeros(height, width, device=views.device)
    for group in _groups(places, batch):
        windows = functional.pad(torch.stack([views[view, :, y, x] for view, y, x in group]), padding)
        logits, _ = net(windows)
        logits = resize(logits.float(), windows.shape[-2:])[..., : size[0], : size[1]]
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
