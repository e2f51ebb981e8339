from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import regionprops
from sklearn.metrics import roc_auc_score

from benchmark.datasets.synthetic.painter import Painter, Stain
from benchmark.datasets.synthetic.painter.fields import cloud
from benchmark.datasets.synthetic.painter.nuclei import Nuclei, stamp, strewn
from benchmark.datasets.synthetic.painter.stain import Canvas
from benchmark.seeds import generator

Picture = tuple[NDArray[np.uint8], NDArray[np.int32]]
GLAS_MEAN, GLAS_STD = (0.787, 0.511, 0.785), (0.167, 0.248, 0.131)
WIDTH, HEIGHT = 291, 226


@pytest.fixture(scope="module")
def benign() -> list[Picture]:
    return [Painter().paint(WIDTH, HEIGHT, positive=False, seed=seed) for seed in range(6)]


@pytest.fixture(scope="module")
def malignant() -> list[Picture]:
    return [Painter().paint(WIDTH, HEIGHT, positive=True, seed=seed) for seed in range(6)]


def test_pictures_and_numbers_fit_together(benign: list[Picture], malignant: list[Picture]) -> None:
    for pixels, glands in benign + malignant:
        assert pixels.shape == (HEIGHT, WIDTH, 3) and pixels.dtype == np.uint8
        assert glands.shape == (HEIGHT, WIDTH) and glands.dtype == np.int32
        numbers = np.unique(glands)
        np.testing.assert_array_equal(numbers, np.arange(numbers[-1] + 1))
        assert 0.2 < np.mean(glands > 0) < 0.8
        for number in numbers[1:]:
            assert ndimage.label(glands == number)[1] == 1, "a gland is one connected area"


def test_same_bits_for_the_same_seed_and_others_for_another(benign: list[Picture]) -> None:
    pixels, glands = Painter().paint(WIDTH, HEIGHT, positive=False, seed=2)
    np.testing.assert_array_equal(pixels, benign[2][0])
    np.testing.assert_array_equal(glands, benign[2][1])
    assert (pixels != benign[3][0]).mean() > 0.5
    positive, _ = Painter().paint(WIDTH, HEIGHT, positive=True, seed=2)
    assert (pixels != positive).mean() > 0.5


def test_another_process_with_other_threads_paints_the_same_bits(benign: list[Picture]) -> None:
    code = (
        "import hashlib; from benchmark.datasets.synthetic.painter import Painter\n"
        f"pixels, glands = Painter().paint({WIDTH}, {HEIGHT}, positive=False, seed=0)\n"
        "print(hashlib.sha256(pixels.tobytes() + glands.tobytes()).hexdigest())"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"OMP_NUM_THREADS": "1"}
    ).stdout.strip()
    assert there == hashlib.sha256(benign[0][0].tobytes() + benign[0][1].tobytes()).hexdigest()


def test_colours_are_those_of_glas(benign: list[Picture], malignant: list[Picture]) -> None:
    pixels = np.concatenate([pixels.reshape(-1, 3) for pixels, _ in benign + malignant]) / 255
    np.testing.assert_allclose(pixels.mean(axis=0), GLAS_MEAN, atol=0.07)
    np.testing.assert_allclose(pixels.std(axis=0), GLAS_STD, atol=0.07)


def test_malignant_glands_are_less_regular(benign: list[Picture], malignant: list[Picture]) -> None:
    def solidity(pictures: list[Picture]) -> float:
        parts = [part for _, glands in pictures for part in regionprops(glands) if part.area > 900]
        return float(np.mean([part.solidity for part in parts]))

    assert solidity(malignant) < solidity(benign) - 0.02


def test_the_task_is_not_given_away_by_colour(benign: list[Picture], malignant: list[Picture]) -> None:
    """Lumens look like gaps, and epithelium like lymphoid tissue: as in GlaS, no colour tells gland from stroma."""
    pictures = benign + malignant
    inside = np.concatenate([glands[::3, ::3].ravel() > 0 for _, glands in pictures])
    for sigma in (0.0, 4.0):
        for channel in range(3):
            seen = [ndimage.gaussian_filter(pixels[..., channel].astype(float), sigma) for pixels, _ in pictures]
            values = np.concatenate([picture[::3, ::3].ravel() for picture in seen])
            assert 0.3 < roc_auc_score(inside, values) < 0.7
    white = [(pixels.min(axis=2) > 215)[glands == 0].mean() for pixels, glands in pictures]
    assert np.mean(white) > 0.02, "white gaps outside the glands"


def test_one_stain_gives_one_hue() -> None:
    def hues(painters: list[Painter]) -> NDArray[np.float64]:
        pictures = [painter.paint(120, 120, positive=False, seed=seed)[0] for seed, painter in enumerate(painters)]
        return np.array([picture.reshape(-1, 3).mean(axis=0) for picture in pictures])

    same = Painter(Stain.draw(generator("test", 1)))
    ratio = [np.log(means[:, 0] / means[:, 2]).std() for means in (hues([same] * 5), hues([Painter()] * 5))]
    assert ratio[0] < ratio[1]


def test_nothing_on_the_glass_is_white_and_more_stain_is_darker() -> None:
    stain = Stain.draw(generator("test", 2))
    blank = Canvas.blank((40, 40))
    empty = stain.develop(generator("camera", 0), blank)
    assert empty.mean() > 235
    blank.lay(np.ones((40, 40), np.float32), 1.5, 0.5)
    assert stain.develop(generator("camera", 0), blank).mean() < empty.mean() - 80


@pytest.mark.parametrize("scale", [1.0, 4.0, 30.0])
def test_clouds_are_standardised(scale: float) -> None:
    field = cloud(generator("cloud"), (90, 131), scale)
    assert field.shape == (90, 131) and field.dtype == np.float32
    assert abs(field.mean()) < 1e-3 and abs(field.std() - 1) < 1e-3


def test_nuclei_are_drawn_where_they_lie_even_over_the_edge() -> None:
    rng = generator("nuclei")
    at = np.array([[20.0, 30.0], [0.0, 0.0], [-3.0, 59.0]])
    nuclei = Nuclei.alike(rng, at, 0.0, length=8.0, width=3.0, stain=1.5, rim=0.0, vary=0.0)
    cover, density = stamp(rng, nuclei, (40, 60))
    assert cover[20, 30] == 1 and cover[20, 36] > 0.9 and cover[26, 30] == 0, "the long axis lies along x"
    assert cover[0, 0] == 1 and cover[30:].max() == 0
    assert density[20, 30] > 0.8 and density.min() >= 0
    none, _ = stamp(rng, Nuclei.alike(rng, at[:0], 0.0, length=8.0, width=3.0, stain=1.5, rim=0.0), (40, 60))
    assert none.max() == 0


def test_strewn_points_follow_their_chance() -> None:
    chance = np.zeros((60, 80), np.float32)
    chance[:, 40:] = 1
    points = strewn(generator("strewn"), chance, 6.0)
    assert len(points) > 40 and (points[:, 1] > 39).all()
