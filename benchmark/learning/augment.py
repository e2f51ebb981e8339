"""Augmentation of an image and its label map together, from a NumPy generator alone.

Order and ranges are those of OEEM's segmentation stage (released code): resize, crop, flip, photometric distortion,
normalise, pad. Images are uint8 height × width × 3, label maps uint8 height × width with 255 = ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Channels = tuple[float, float, float]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
IGNORE = 255
"""Label of pixels that no loss is computed for."""

Image = NDArray[np.uint8]
Pixels = NDArray[np.float32]
"""height × width × 3 in [0, 255]."""


@dataclass(frozen=True)
class Augmentation:
    """What happens to one training tile. `ratio`: range of the resize factor q. `crop`: side of the result in px.

    `flip`, `flip_vertical`: probability of a flip. `distortion`: photometric distortion on or off. `turn`: a random
    multiple of 90°. `rotation`: largest angle in degrees. `elastic`: standard deviation of a displacement in px, smooth
    over `smoothness` px. `one_of`: half of the tiles are turned and flipped along a random axis, a quarter are rotated
    (UCTransNet's released code). `jitter`: largest change of brightness, as a share of white, and of contrast.
    """

    ratio: tuple[float, float] = (0.75, 3.0)
    crop: int = 256
    flip: float = 0.5
    distortion: bool = True
    turn: bool = False
    jitter: float = 0.0
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD
    flip_vertical: float = 0.0
    rotation: float = 0.0
    elastic: float = 0.0
    smoothness: float = 16.0
    one_of: bool = False

    def __call__(self, image: Image, labels: Image, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A normalised image (float32 3 × crop × crop) and its labels (int64 crop × crop).

        Only the crop is computed, never the whole resized tile. A resized tile smaller than the crop is padded at
        the right and below, with 0 after normalisation and 255 in the labels.
        """
        q = rng.uniform(*self.ratio)
        size = (max(1, int(image.shape[0] * q)), max(1, int(image.shape[1] * q)))
        height, width = min(self.crop, size[0]), min(self.crop, size[1])
        top, left = int(rng.integers(size[0] - height + 1)), int(rng.integers(size[1] - width + 1))
        box = (top, left, height, width)
        pixels, classes = resized_crop(image, size, box), resized_labels(labels, size, box)
        pixels, classes = self._moved(pixels, classes, rng)
        if self.distortion:
            pixels = distort(pixels, rng)
        if self.jitter:
            pixels = jittered(pixels, self.jitter, rng)
        height, width = classes.shape
        padded = torch.zeros(3, self.crop, self.crop)
        padded[:, :height, :width] = normalised(np.ascontiguousarray(pixels), self.mean, self.std)
        target = torch.full((self.crop, self.crop), IGNORE, dtype=torch.long)
        target[:height, :width] = torch.from_numpy(classes.astype(np.int64))
        return padded, target

    def _moved(self, pixels: Pixels, classes: Image, rng: np.random.Generator) -> tuple[Pixels, Image]:
        """Flips, turns, rotation, elastic deformation."""
        rotation = self.rotation
        if self.one_of:
            if rng.random() < 0.5:
                pixels, classes = turned(pixels, classes, int(rng.integers(4)))
                axis = int(rng.integers(2))
                pixels, classes, rotation = np.flip(pixels, axis), np.flip(classes, axis), 0.0
            elif rng.random() < 0.5:
                rotation = 0.0
        else:
            if rng.random() < self.flip:
                pixels, classes = pixels[:, ::-1], classes[:, ::-1]
            if self.flip_vertical and rng.random() < self.flip_vertical:
                pixels, classes = pixels[::-1], classes[::-1]
            if self.turn:
                pixels, classes = turned(pixels, classes, int(rng.integers(4)))
        if rotation or self.elastic:
            angle = float(rng.uniform(-rotation, rotation))
            pixels, classes = warped(pixels, classes, angle, self.elastic, self.smoothness, rng)
        return pixels, classes


def turned(pixels: Pixels, classes: Image, quarters: int) -> tuple[Pixels, Image]:
    """Both turned by `quarters` times 90°."""
    return np.rot90(pixels, quarters), np.rot90(classes, quarters)


def warped(
    pixels: Pixels, classes: Image, angle: float, elastic: float, smoothness: float, rng: np.random.Generator
) -> tuple[Pixels, Image]:
    """Both rotated about the centre by `angle` degrees and displaced by a smooth random field of `elastic` px.

    Pixels are bilinear, classes nearest. What lies beyond the image is black, and ignored in the classes.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    height, width = classes.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    places = np.stack([cos * y - sin * x + (height - 1) / 2, sin * y + cos * x + (width - 1) / 2])
    if elastic:
        field = np.stack([gaussian_filter(rng.standard_normal((height, width)), smoothness) for _ in range(2)])
        places += elastic * field / max(float(field.std()), 1e-12)
    moved = [map_coordinates(pixels[..., c], places, order=1, cval=0.0) for c in range(pixels.shape[2])]
    return np.stack(moved, axis=-1), map_coordinates(classes, places, order=0, cval=IGNORE)


def resized_crop(image: Image, size: tuple[int, int], box: tuple[int, int, int, int]) -> Pixels:
    """The part `box` (top, left, height, width) of `image` resized to `size` (height, width), float32 in [0, 255].

    Bilinear without smoothing, centres at half pixels: what resizing everything and cropping then would give.
    """
    top, left, height, width = box
    low_y, high_y, weight_y = _taps(top, height, image.shape[0], size[0])
    low_x, high_x, weight_x = _taps(left, width, image.shape[1], size[1])
    first, last = int(low_x[0]), int(high_x[-1]) + 1
    part = image[:, first:last]
    weight = weight_y[:, None, None]
    rows = part[low_y] * (1 - weight) + part[high_y] * weight
    weight = weight_x[None, :, None]
    whole = rows[:, low_x - first] * (1 - weight) + rows[:, high_x - first] * weight
    return whole.astype(np.float32, copy=False)


def resized_labels(labels: Image, size: tuple[int, int], box: tuple[int, int, int, int]) -> Image:
    """The same part of a label map, by the nearest pixel."""
    top, left, height, width = box
    y = _nearest(top, height, labels.shape[0], size[0])
    x = _nearest(left, width, labels.shape[1], size[1])
    return labels[np.ix_(y, x)]


def resized_whole(image: Image, side: int) -> Image:
    """A whole image resized to side × side px, rounded to uint8; a label map (height × width) by the nearest pixel."""
    box = (0, 0, side, side)
    if image.ndim == 2:
        return resized_labels(image, (side, side), box)
    return resized_crop(image, (side, side), box).round().astype(np.uint8)


def distort(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Brightness ±32, contrast and saturation × U(0.5, 1.5), hue ±36°, each with probability one half.

    Contrast comes before or after saturation and hue, by the toss of a coin. Values are clipped to [0, 255].
    """
    contrast_first = rng.random() < 0.5
    if rng.random() < 0.5:
        pixels = _clip(pixels + np.float32(rng.uniform(-32, 32)))
    if contrast_first and rng.random() < 0.5:
        pixels = _clip(pixels * np.float32(rng.uniform(0.5, 1.5)))
    if rng.random() < 0.5:
        pixels = saturated(pixels, rng.uniform(0.5, 1.5))
    if rng.random() < 0.5:
        pixels = hue_turned(pixels, int(rng.integers(-18, 18)) / 180)
    if not contrast_first and rng.random() < 0.5:
        pixels = _clip(pixels * np.float32(rng.uniform(0.5, 1.5)))
    return pixels


def jittered(pixels: Pixels, most: float, rng: np.random.Generator) -> Pixels:
    """Contrast about mid-grey × U(1 ± most), then brightness ± U(most) of white, clipped to [0, 255]."""
    contrast, brightness = rng.uniform(1 - most, 1 + most), 255 * rng.uniform(-most, most)
    return _clip((pixels - 127.5) * np.float32(contrast) + np.float32(127.5 + brightness))


def saturated(pixels: Pixels, factor: float) -> Pixels:
    """HSV saturation times `factor`, at most 1; value and hue stay.

    Every channel c becomes `V - k(V - c)` with V the largest channel: no conversion to HSV is needed.
    """
    value = pixels.max(axis=2, keepdims=True)
    spread = value - pixels.min(axis=2, keepdims=True)
    room = np.divide(value, spread, out=np.ones_like(value), where=spread > 0)
    return _clip(value - np.minimum(np.float32(factor), room) * (value - pixels))


def hue_turned(pixels: Pixels, turn: float) -> Pixels:
    """HSV hue moved by `turn` (1 = full circle, within ±0.5); saturation and value stay."""
    from torchvision.transforms.v2.functional import adjust_hue

    image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))) / 255
    turned: Pixels = adjust_hue(image, turn).mul(255).permute(1, 2, 0).numpy()
    return turned


def normalised(
    images: NDArray[np.uint8] | Pixels,
    mean: Channels = IMAGENET_MEAN,
    std: Channels = IMAGENET_STD,
) -> Tensor:
    """(… × H × W × 3 in [0, 255] - mean) / std as float32, channels first: … × 3 × H × W."""
    scaled = (torch.from_numpy(images).float() - torch.tensor(mean)) / torch.tensor(std)
    return scaled.movedim(-1, -3)


def recompressed(image: Image, quality: int | None) -> Image:
    """The image after a round trip through JPEG (4:2:0); untouched without a quality."""
    if quality is None:
        return image
    from PIL import Image as Pillow

    with BytesIO() as stream:
        Pillow.fromarray(image).save(stream, format="JPEG", quality=quality)
        return np.array(Pillow.open(stream))


def _taps(
    start: int, count: int, source: int, target: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Both neighbours, and the weight of the second, of `count` pixels from `start` on, on an axis that is resized."""
    position = ((np.arange(start, start + count) + 0.5) * source / target - 0.5).clip(0, source - 1)
    low = position.astype(np.intp)
    return low, np.minimum(low + 1, source - 1), (position - low).astype(np.float32)


def _nearest(start: int, count: int, source: int, target: int) -> NDArray[np.intp]:
    return ((np.arange(start, start + count) + 0.5) * source / target).astype(np.intp)


def _clip(pixels: Pixels) -> Pixels:
    return pixels.clip(0, 255)
