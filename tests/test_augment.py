"""Augmentation: exact geometry, ranges, and nothing random but the generator."""

import colorsys

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmark.learning.augment import (
    IGNORE,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    distort,
    hue_turned,
    normalised,
    recompressed,
    resized_crop,
    resized_labels,
    saturated,
)


@pytest.fixture
def image():
    return np.random.default_rng(1).integers(0, 256, (40, 56, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(40, 56), (97, 130), (30, 41), (120, 168)])
def test_crop_of_the_resized_image_is_exact(image, size):
    whole = functional.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None].float(), size=size, mode="bilinear", align_corners=False
    )
    expected = whole[0, :, 5:25, 11:38].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(resized_crop(image, size, (5, 11, 20, 27)), expected, atol=0.01)


@pytest.mark.parametrize("region", [np.s_[5:12, :], np.s_[:, 8:20]])
def test_labels_stay_labels_and_lie_over_the_pixels(region):
    labels = np.zeros((20, 30), np.uint8)
    labels[region] = 1
    picture = np.repeat(labels[:, :, None] * 255, 3, axis=2)
    size, box = (60, 90), (6, 12, 40, 60)
    large = resized_labels(labels, size, box)
    assert set(np.unique(large)) == {0, 1}
    disagree = (resized_crop(picture, size, box)[..., 0] > 127.5) != (large == 1)
    assert not disagree.any()
    assert np.array_equal(resized_labels(labels, (20, 30), (0, 0, 20, 30)), labels)


def test_small_tiles_are_padded(image):
    labels = np.ones(image.shape[:2], np.uint8)
    pixels, target = Augmentation(ratio=(0.5, 0.5), crop=48, flip=0, distortion=False)(
        image, labels, np.random.default_rng(0)
    )
    assert pixels.shape == (3, 48, 48)
    assert pixels.dtype == torch.float32
    assert target.dtype == torch.int64
    assert (target[:20, :28] == 1).all()
    assert (target[20:] == IGNORE).all()
    assert (target[:, 28:] == IGNORE).all()
    assert (pixels[:, 20:] == 0).all()
    assert (pixels[:, :, 28:] == 0).all()
    assert (pixels[:, :20, :28] != 0).any()


def test_flip_moves_image_and_labels_together(image):
    labels = (image[..., 0] > 128).astype(np.uint8)
    plain, mirrored = (
        Augmentation(ratio=(1, 1), crop=40, flip=flip, distortion=False)(image, labels, np.random.default_rng(3))
        for flip in (0.0, 1.0)
    )
    assert torch.equal(plain[0].flip(-1), mirrored[0])
    assert torch.equal(plain[1].flip(-1), mirrored[1])


def test_same_generator_same_crop(image):
    labels = np.zeros(image.shape[:2], np.uint8)
    first, second, other = (Augmentation(crop=32)(image, labels, np.random.default_rng(seed))[0] for seed in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_distortion_stays_in_range_and_sometimes_does_nothing(image):
    pixels = image.astype(np.float32)
    results = [distort(pixels, np.random.default_rng(seed)) for seed in range(80)]
    assert all(result.min() >= 0 and result.max() <= 255.01 for result in results)
    assert all(result.dtype == np.float32 for result in results)
    untouched = sum(np.array_equal(result, pixels) for result in results)
    assert 1 <= untouched <= 20


def test_saturation_is_that_of_hsv():
    pixel = np.array([[[200.0, 120.0, 60.0]]], np.float32)
    hue, saturation, value = colorsys.rgb_to_hsv(*(pixel[0, 0] / 255))
    expected = np.array(colorsys.hsv_to_rgb(hue, saturation * 1.2, value)) * 255
    np.testing.assert_allclose(saturated(pixel, 1.2)[0, 0], expected, atol=1e-3)
    full = np.array(colorsys.hsv_to_rgb(hue, 1.0, value)) * 255
    np.testing.assert_allclose(saturated(pixel, 9.0)[0, 0], full, atol=1e-3)
    grey = np.full((1, 1, 3), 77, np.float32)
    np.testing.assert_array_equal(saturated(grey, 1.5), grey)


def test_hue_is_that_of_hsv():
    pixel = np.array([[[200.0, 120.0, 60.0]]], np.float32)
    hue, saturation, value = colorsys.rgb_to_hsv(*(pixel[0, 0] / 255))
    expected = np.array(colorsys.hsv_to_rgb((hue - 0.1) % 1, saturation, value)) * 255
    np.testing.assert_allclose(hue_turned(pixel, -0.1)[0, 0], expected, atol=0.01)


def test_normalisation_puts_channels_first(image):
    found = normalised(np.stack([image, image]))
    assert found.shape == (2, 3, 40, 56)
    for channel in range(3):
        expected = (image[..., channel] - IMAGENET_MEAN[channel]) / IMAGENET_STD[channel]
        np.testing.assert_allclose(found[1, channel].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_recompression_is_lossy_only_when_asked(image):
    assert recompressed(image, None) is image
    again = recompressed(image, 95)
    assert again.shape == image.shape
    assert again.dtype == np.uint8
    assert not np.array_equal(again, image)
