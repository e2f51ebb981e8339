"""Training patches: views of whole images in memory, their labels, and their augmentation (paper §2.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.slides import Grid, Slide
from benchmark.supervision import View

from .classifier_params import PatchNetParams

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class PatchSet:
    """Patches of all slides of a view, row by row, with the classes present in each (n × K, boolean)."""

    pixels: Sequence[Pixels]
    """p × p × 3 each; views, so that overlapping patches cost nothing."""
    present: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pixels)

    @classmethod
    def of(cls, view: View, params: PatchNetParams) -> PatchSet:
        """Cut every slide and ask for the patch labels; patches without any class, in areas to ignore, are left out."""
        pixels: list[Pixels] = []
        present: list[NDArray[np.bool_]] = [np.zeros((0, 0), np.bool_)]
        for slide in view:
            grid = patch_grid(slide, params)
            labels = view.labels.patch(slide, grid, params.presence)
            labels = labels.reshape(-1, labels.shape[-1])
            known = np.any(labels, axis=1)
            pixels.extend(compress(cut(read_whole(slide, params), grid), known.tolist()))
            present.append(labels[known])
        return cls(pixels, np.concatenate(present[1:] or present))


def patch_labels(slide: Slide, grid: Grid, labelled: View | None, presence: float) -> list[NDArray[np.bool_] | None]:
    """Classes present in each patch, row by row; None for a patch in an area to ignore, and without `labelled`."""
    if labelled is None:
        return [None] * (grid.rows * grid.cols)
    labels = labelled.labels.patch(slide, grid, presence)
    return [own if own.any() else None for own in labels.reshape(-1, labels.shape[-1])]


def patch_grid(slide: Slide, params: PatchNetParams) -> Grid:
    """Windows of side p at stride s, the last ones at the very end (released code)."""
    return Grid.windows(slide.size, params.patch_side, params.patch_stride)


def read_whole(slide: Slide, params: PatchNetParams) -> Pixels:
    """All pixels of a slide; one smaller than a patch gets black margins."""
    width, height = slide.size
    return slide.read(0, 0, max(width, params.patch_side), max(height, params.patch_side))


def cut(image: Pixels, grid: Grid) -> Iterable[Pixels]:
    """Views of the patches, row by row."""
    return (image[y : y + grid.height, x : x + grid.width] for _, _, x, y in grid.patches())


def resized(images: Tensor, side: int, mode: str = "bilinear") -> Tensor:
    """uint8 B × 3 × h × w → B × 3 × side × side, on the CPU, with the filters of Pillow."""
    if images.shape[-2:] == (side, side):
        return images
    return functional.interpolate(images, size=(side, side), mode=mode, antialias=True, align_corners=False)


def standardised(images: Tensor, params: PatchNetParams, device: str) -> Tensor:
    """uint8 in [0, 255] → (x / 255 - mean) / std as float32 on the device."""
    mean, std = (torch.tensor(value, device=device)[:, None, None] for value in (params.cls_mean, params.cls_std))
    return (images.to(device, non_blocking=True).float() / 255 - mean) / std


def augmented(patch: Pixels, params: PatchNetParams, rng: np.random.Generator) -> Tensor:
    """A random resized crop of one patch, flipped at random both ways: uint8 3 × S × S."""
    top, left, height, width = crop_box(patch.shape[0], patch.shape[1], params.cls_area_min, rng)
    region = torch.from_numpy(patch[top : top + height, left : left + width]).permute(2, 0, 1)
    image = resized(region[None], params.cls_input)[0]
    axes = [axis for axis in (1, 2) if rng.random() < params.cls_flip]
    return image.flip(axes) if axes else image


def crop_box(height: int, width: int, area_min: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height, width of a crop with an area share in [area_min, 1] and an aspect ratio in [3/4, 4/3].

    Ten draws, the ratio log-uniform; when none fits, the whole patch (torchvision's RandomResizedCrop).
    """
    for _ in range(10):
        area = height * width * rng.uniform(area_min, 1.0)
        ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    return 0, 0, height, width
