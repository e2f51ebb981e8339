"""Augmentation of a patch and its soft labels together, after the release, from a NumPy generator alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

JITTER = 0.4
"""Brightness, contrast and sharpness are multiplied by 1 ± this at the end."""
HUE, SATURATION, VALUE = 28, 30, 20
"""Largest shifts, of 256 each. The release takes albumentations' default of 20 for hue, which counts in OpenCV's 8-bit
scale of 180 for the circle: ± 40°, not ± 20°; of Pillow's 256 for the circle these are 28."""


def augmented(
    image: Pixels, labels: Floats, rng: np.random.Generator, *, crop_min: float, colour: bool
) -> tuple[Pixels, Floats]:
    """A patch (side × side × 3) and its soft labels (side × side) after crop, flips, turns and colours.

    The crop is a random square of `crop_min` to 1 of the side, enlarged to it: bilinearly, the labels by nearest
    neighbour. With `crop_min` 1 the whole patch is kept.
    """
    side = image.shape[0]
    size = max(1, round(side * rng.uniform(crop_min, 1.0)))
    x, y = int(rng.integers(side - size + 1)), int(rng.integers(side - size + 1))
    if size < side:
        piece = Image.fromarray(image[y : y + size, x : x + size])
        image = np.asarray(piece.resize((side, side), Image.Resampling.BILINEAR))
        index = ((np.arange(side) + 0.5) * size / side).astype(np.int64)
        labels = labels[y + index[:, None], x + index[None, :]]
    image, labels = turned(image, labels, rng)
    return (coloured(image, rng) if colour else image), labels


def turned(image: Pixels, labels: Floats, rng: np.random.Generator) -> tuple[Pixels, Floats]:
    """One of the eight flips and turns by 90°, all equally likely."""
    quarter, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    image, labels = np.rot90(image, quarter), np.rot90(labels, quarter)
    return (image[:, ::-1], labels[:, ::-1]) if mirrored else (image, labels)


def coloured(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Brightness and contrast (p 0.8), sharpness (0.8), hue and saturation (0.5), channel shifts (0.5), then a jitter.

    The release names the transforms and their probabilities; their ranges are those of its library's defaults:
    brightness and contrast ± 0.2, sharpness up to 2, hue ± 40° (see `HUE`), saturation and value ± 30 / 20 of 255,
    channels ± 20.
    """
    picture = Image.fromarray(np.ascontiguousarray(image))
    if rng.random() < 0.8:
        picture = _enhanced(picture, ImageEnhance.Brightness, rng, 0.2)
        picture = _enhanced(picture, ImageEnhance.Contrast, rng, 0.2)
    if rng.random() < 0.8:
        picture = ImageEnhance.Sharpness(picture).enhance(float(rng.uniform(1.0, 2.0)))
    if rng.random() < 0.5:
        picture = shifted_hsv(picture, rng)
    if rng.random() < 0.5:
        shifted = np.asarray(picture).astype(np.int16) + rng.integers(-20, 21, 3).astype(np.int16)
        picture = Image.fromarray(shifted.clip(0, 255).astype(np.uint8))
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Sharpness):
        picture = _enhanced(picture, kind, rng, JITTER)
    return np.asarray(picture)


def _enhanced(picture: Image.Image, kind: type, rng: np.random.Generator, spread: float) -> Image.Image:
    result: Image.Image = kind(picture).enhance(float(rng.uniform(1 - spread, 1 + spread)))
    return result


def shifted_hsv(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """One random shift each of hue (which goes round), saturation and value (which end at 0 and 255)."""
    hsv = np.asarray(picture.convert("HSV")).astype(np.int16)
    hue, saturation, value = (int(rng.integers(-limit, limit + 1)) for limit in (HUE, SATURATION, VALUE))
    moved = np.stack(
        [
            (hsv[..., 0] + hue) % 256,
            (hsv[..., 1] + saturation).clip(0, 255),
            (hsv[..., 2] + value).clip(0, 255),
        ],
        axis=-1,
    )
    return Image.fromarray(moved.astype(np.uint8), "HSV").convert("RGB")
