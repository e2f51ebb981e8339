"""Random views of patches for contrastive fine-tuning, drawn from a NumPy generator and made by torchvision."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional

AREA, STRETCH, TRIES = (0.08, 1.0), math.log(4 / 3), 10
"""Area of a crop as a share of the patch, largest |log(width / height)|; a crop that does not fit is drawn again."""
JITTER, HUE, JITTERED = 0.8, 0.2, 0.8
"""Largest change of brightness, contrast and saturation, of hue, and how often colours change at all."""
GREY, BLURRED, SIGMA = 0.2, 0.5, (0.1, 2.0)
KERNEL = 0.06
"""Side of the blur kernel as a share of the view: 13 px of 224."""


def two_views(pixels: NDArray[np.uint8], side: int, rng: np.random.Generator, device: str) -> Tensor:
    """Two views of every patch, decoded once: n × h × w × 3 → 2n × 3 × side × side in [0, 1], all first views first."""
    images = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(0, 3, 1, 2).float() / 255
    return torch.stack([view(image, side, rng) for _ in range(2) for image in images])


def view(image: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """One view of a patch (3 × h × w in [0, 1]), 3 × side × side, as ItS2CLR and HNM have it (those of SimCLR).

    Random resized crop, horizontal flip with probability 0.5, colour jitter in random order with 0.8, grey with 0.2,
    Gaussian blur with 0.5.
    """
    top, left, height, width = crop_box(image.shape[-2], image.shape[-1], rng)
    image = functional.resized_crop(image, top, left, height, width, [side, side], antialias=True)
    if rng.random() < 0.5:
        image = functional.horizontal_flip(image)
    if rng.random() < JITTERED:
        image = _recoloured(image, rng)
    if rng.random() < GREY:
        image = functional.rgb_to_grayscale(image, num_output_channels=3)
    if rng.random() < BLURRED:
        kernel = max(3, int(KERNEL * side) // 2 * 2 + 1)
        image = functional.gaussian_blur(image, [kernel, kernel], [rng.uniform(*SIGMA)])
    return image


def crop_box(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a random crop; the whole patch where none of ten fits."""
    for _ in range(TRIES):
        area = height * width * rng.uniform(*AREA)
        ratio = math.exp(rng.uniform(-STRETCH, STRETCH))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            return int(rng.integers(height - down + 1)), int(rng.integers(width - across + 1)), down, across
    return 0, 0, height, width


def _recoloured(image: Tensor, rng: np.random.Generator) -> Tensor:
    for change in rng.permutation(4):
        if change == 0:
            image = functional.adjust_brightness(image, rng.uniform(1 - JITTER, 1 + JITTER))
        elif change == 1:
            image = functional.adjust_contrast(image, rng.uniform(1 - JITTER, 1 + JITTER))
        elif change == 2:
            image = functional.adjust_saturation(image, rng.uniform(1 - JITTER, 1 + JITTER))
        else:
            image = functional.adjust_hue(image, rng.uniform(-HUE, HUE))
    return image
