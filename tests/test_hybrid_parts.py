"""Parts of hybrid supervision against numbers worked out by hand."""

import colorsys
import math

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmark.errors import DataError
from benchmark.learning.mil.top import TopK, top
from benchmark.learning.nets.dla import DlaUp
from benchmark.methods.hybrid import m_step
from benchmark.methods.hybrid.e_step import kept, pseudo_label
from benchmark.methods.hybrid.fine_masks import FinePatch
from benchmark.methods.hybrid.hybrid_params import HybridParams
from benchmark.methods.hybrid.index_files import by_group, drawn_pools, read_groups
from benchmark.methods.hybrid.m_step import Batches, MixedBatches, composition
from benchmark.methods.hybrid.patch_augment import augmented, coloured, shifted_hsv, turned
from benchmark.methods.hybrid.slide_model import slide_loss, unit_loss, unit_means
from benchmark.slides import Grid

P = np.array([0.0, 0.0009, 0.0024, 0.0025, 0.0026, 0.01, 0.1, 0.2, 0.2499, 0.25, 0.4, 0.9, 1.0], np.float32)


@pytest.mark.parametrize(
    ("constant", "expected"),
    [
        (4.0, [0.0, 0.0, 0.0, 0.01, 0.0104, 0.04, 0.4, 0.8, 0.9996, 1.0, 1.0, 1.0, 1.0]),
        (1.5, [0.0, 0.0, 0.0, 0.0, 0.0, 0.015, 0.15, 0.3, 0.37485, 0.375, 0.6, 1.0, 1.0]),
    ],
)
def test_pseudo_labels_of_a_positive_slide(constant, expected):
    np.testing.assert_allclose(pseudo_label(P, constant=constant, lower=0.01), expected, atol=1e-6)


def test_pseudo_labels_in_eight_bits_as_released():
    values = np.array([0.0, 0.0025, 0.0039, 0.00393, 0.01, 0.1, 0.2499, 0.25, 0.4, 1.0], np.float32)
    made = pseudo_label(values, constant=4.0, lower=0.01, quantise=True)
    np.testing.assert_array_equal(np.rint(made * 255), [0, 0, 0, 4, 8, 100, 252, 252, 255, 255])


def test_patches_at_the_threshold_are_kept():
    assert np.flatnonzero(kept(np.array([0.39, 0.40, 0.41, 0.05], np.float32), 0.4)).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("start", "rounds"), [(0.3, 1), (0.25, 1), (0.1, 2), (0.05, 3), (0.02, 3), (0.01, 4), (0.005, 4)]
)
def test_a_pixel_that_is_fitted_exactly_saturates_after_so_many_rounds(start, rounds):
    value, passed = np.array([start], np.float32), 0
    while value[0] < 1:
        value, passed = pseudo_label(value, constant=4.0, lower=0.01), passed + 1
    assert passed == rounds == math.ceil(math.log(1 / start) / math.log(4) - 1e-9)


@given(st.floats(0, 1), st.floats(1.01, 100), st.floats(0, 0.5))
def test_pseudo_labels_are_probabilities_that_never_fall(value, constant, lower):
    made = float(pseudo_label(np.array([value], np.float32), constant=constant, lower=lower)[0])
    assert made == 0 or (lower * (1 - 1e-6) <= made <= 1 and made >= value * (1 - 1e-6))


@pytest.mark.parametrize(
    ("batch", "counts"),
    [
        (8, [1, 1, 6]),
        (10, [2, 1, 7]),
        (16, [3, 2, 11]),
        (20, [4, 2, 14]),
        (24, [5, 2, 17]),
        (32, [6, 3, 23]),
        (64, [13, 6, 45]),
        (100, [20, 10, 70]),
    ],
)
def test_batch_composition_by_largest_remainder(batch, counts):
    assert composition(batch, (2, 1, 7), (9, 9, 9)) == counts


def test_empty_pools_give_their_share_away():
    assert composition(10, (2, 1, 7), (5, 0, 5)) == [2, 0, 8]
    assert composition(10, (2, 1, 7), (5, 5, 0)) == [7, 3, 0]
    assert composition(32, (2, 1, 7), (5, 5, 0)) == [21, 11, 0]
    assert composition(8, (0, 1, 7), (5, 0, 0)) == [8, 0, 0], "the only pool there is, though its share is 0"


@given(st.integers(1, 300), st.tuples(*[st.floats(0.01, 50)] * 3), st.tuples(*[st.integers(0, 3)] * 3))
def test_every_composition_fills_the_batch_from_pools_that_hold_something(batch, ratio, sizes):
    if not any(sizes):
        return
    counts = composition(batch, ratio, sizes)
    assert sum(counts) == batch and all(count >= 0 for count in counts)
    assert all(size or not count for count, size in zip(counts, sizes, strict=True))


def test_the_released_sampler_draws_with_its_own_probabilities():
    rng = np.random.default_rng(0)
    counts = np.sum([drawn_pools(1000, (1, 1, 1), rng) for _ in range(400)], axis=0)
    np.testing.assert_allclose(counts / counts.sum(), [0.514851, 0.089109, 0.396040], atol=0.004)
    counts = np.sum([drawn_pools(1000, (1, 0, 1), rng) for _ in range(400)], axis=0)
    np.testing.assert_allclose(counts / counts.sum(), [61 / 101, 0, 40 / 101], atol=0.004)
    assert drawn_pools(50, (1, 0, 0), rng) == [50, 0, 0]


@pytest.mark.parametrize(("released", "pools", "steps"), [(False, 2, 34), (True, 2, 13), (True, 1, 11), (True, 0, 7)])
def test_an_epoch_shows_each_fine_patch_once_or_once_on_average(monkeypatch, released, pools, steps):
    """200 fine patches in batches of 32: 6 of each at 2 : 1 : 7, 16 at 52 : 9 : 40, 19 at 61 : 0 : 40, all alone."""
    above = [np.array([(0, 0)] * int(pools > 1)), np.array([(0, 1)] * int(pools > 0))]
    monkeypatch.setattr(m_step, "pools_above", lambda *given: [part.reshape(-1, 2).astype(int) for part in above])
    fine = [FinePatch(0, number, np.ones((2, 2), np.float32)) for number in range(200)]
    groups = np.zeros(1, np.int64) if released else None
    params = HybridParams(composition="iid" if released else "exact")
    batches = MixedBatches(fine, None, params, teacher=None, scored=None, groups=groups)
    assert batches.steps_per_epoch == steps
    share = np.mean([batches._counts(np.random.default_rng(seed))[0] for seed in range(400)])
    assert 200 <= steps * share < 200 + 1.1 * share, "but for the last step"


def test_the_released_sampler_draws_an_index_file_first_and_then_a_patch(tmp_path):
    """Slides a and b are in one file, c in another: half of the draws are c's, whatever each has."""
    table = tmp_path / "groups.csv"
    table.write_text("slide,group\na,radboud\nb,radboud\nc,utrecht\n")
    groups = read_groups(table, ["a", "b", "c"])
    slides = np.array([0] * 60 + [1] * 30 + [2] * 10)
    rng = np.random.default_rng(1)
    picks = slides[[by_group(groups[slides], rng) for _ in range(3000)]]
    assert np.bincount(picks) / 3000 == pytest.approx([1 / 3, 1 / 6, 1 / 2], abs=0.03)
    one = read_groups(None, ["a", "b", "c"])
    picks = slides[[by_group(one[slides], rng) for _ in range(3000)]]
    assert np.bincount(picks) / 3000 == pytest.approx([0.6, 0.3, 0.1], abs=0.03)


def test_fine_patches_with_and_without_lesion_are_in_files_of_their_own():
    none, some = np.zeros((4, 4), np.float32), np.ones((4, 4), np.float32)
    fine = [FinePatch(0, number, some) for number in range(9)] + [FinePatch(0, 9, none)]
    params = HybridParams(composition="iid")
    batches = Batches(fine, None, params, groups=np.array([0]))
    rng = np.random.default_rng(2)
    assert np.mean([batches._draw(0, rng) == 9 for _ in range(2000)]) == pytest.approx(0.5, abs=0.05)
    plain = Batches(fine, None, params)
    assert np.mean([plain._draw(0, rng) == 9 for _ in range(2000)]) == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,group\na,x\n", "has no column slide; its columns are: name, group"),
        ("slide,group\na,x\na,y\n", "line 3: slide 'a' is in 'x' and in 'y'"),
        ("slide,group\nb,x\n", "no row for 1 training slides, the first: a"),
        (b"\xff\xfe\x00", "cannot be read as a table"),
    ],
)
def test_a_table_of_groups_that_does_not_fit_is_refused(tmp_path, text, message):
    table = tmp_path / "groups.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        read_groups(table, ["a"])


def test_groups_mean_nothing_to_the_exact_composition(tmp_path):
    (tmp_path / "groups.csv").write_text("slide,group\n")
    with pytest.raises(ValueError, match="no meaning with composition=exact"):
        HybridParams(slide_groups=tmp_path / "groups.csv")


def test_soft_cross_entropy():
    labels, found = torch.tensor([1.0, 0.8, 0.0, 0.4]), torch.tensor([0.9, 0.6, 0.2, 0.4])
    loss = torch.nn.functional.binary_cross_entropy_with_logits(torch.logit(found), labels, reduction="none")
    np.testing.assert_allclose(loss.numpy(), [0.105361, 0.591919, 0.223144, 0.673012], atol=1e-5)
    assert loss.mean().item() == pytest.approx(0.398359, abs=1e-6)


HIGHEST = np.array([0.91, 0.40, 0.97, 0.97, 0.12, 0.88], np.float32)
THETA2 = np.array([0.80, 0.10, 0.95, 0.70, 0.02, 0.60])


@pytest.mark.parametrize(
    ("size", "order", "mean"),
    [
        (1, [2], 0.95),
        (2, [2, 3], 0.825),
        (3, [2, 3, 0], 0.8166667),
        (4, [2, 3, 0, 5], 0.7625),
        (16, [2, 3, 0, 5, 1, 4], 0.5283333),
    ],
)
def test_top_patches_and_their_mean(size, order, mean):
    assert top(HIGHEST, np.arange(6), size) == order
    owners = torch.zeros(len(order), dtype=torch.long)
    assert unit_means(torch.tensor(THETA2[order]), owners, 1).item() == pytest.approx(mean, abs=1e-6)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(1, 20), st.integers(1, 7))
def test_the_heap_agrees_with_sorting_however_the_stream_is_cut(values, size, cut):
    array, numbers = np.array(values, np.float32), np.arange(len(values))
    heap = TopK(size)
    for start in range(0, len(values), cut):
        heap.add(array[start : start + cut], numbers[start : start + cut])
    assert heap.numbers() == sorted(numbers.tolist(), key=lambda number: (-values[number], number))[:size]


def test_stage_2_loss_is_that_of_the_mean_probability():
    found = torch.tensor([0.95, 0.70, 0.80])
    owners, label = torch.zeros(3, dtype=torch.long), torch.ones(1)
    assert slide_loss(torch.logit(found), owners, label).item() == pytest.approx(0.202524, abs=1e-5)
    several = slide_loss(
        torch.logit(torch.cat([found, 1 - found])), torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([1.0, 0])
    )
    assert several.item() == pytest.approx(0.202524, abs=1e-5)
    assert unit_loss(torch.tensor([0.0]), label).item() == pytest.approx(-math.log(1e-7), rel=1e-3), "finite"


def test_stage_2_loss_is_taken_in_full_precision_where_the_net_trains_in_half():
    """On no GPU, but by the rules of one."""
    torch.set_autocast_enabled("cuda", True)
    try:
        with FakeTensorMode():
            loss = unit_loss(torch.empty(4, device="cuda"), torch.empty(4, device="cuda"))
    finally:
        torch.set_autocast_enabled("cuda", False)
    assert loss.dtype == torch.float32


def test_dla34up_has_the_published_shape_and_size():
    encoder = timm.create_model("dla34", features_only=True)
    net = DlaUp(encoder, encoder.feature_info.channels()).eval()

    def size(module):
        return sum(value.numel() for value in module.parameters())

    assert [size(unit) for unit in net.units] == [1315840, 660480, 249600, 84480]
    assert (size(net.head), size(encoder), size(net)) == (33, 15229104, 17539537)
    assert size(net) - size(encoder) == 2310433
    with torch.inference_mode():
        maps = encoder(torch.zeros(1, 3, 64, 64))
        assert [list(one.shape[1:]) for one in maps] == [
            [32, 32, 32],
            [64, 16, 16],
            [128, 8, 8],
            [256, 4, 4],
            [512, 2, 2],
        ]
        assert net(torch.zeros(2, 3, 64, 64)).shape == (2, 32, 32)
    assert size(timm.create_model("dla34", num_classes=1)) == 15229617
    taps = net.units[0].upsample[0].weight[0, 0].detach()
    torch.testing.assert_close(
        taps, torch.outer(torch.tensor([0.25, 0.75, 0.75, 0.25]), torch.tensor([0.25, 0.75, 0.75, 0.25]))
    )


def test_grids_of_a_hundred_thousand_pixels():
    size = (100_000, 100_000)
    assert np.prod(Grid.windows(size, 512, 384).shape) == 68121
    assert np.prod(Grid.windows(size, 512, 128).shape) == 606841
    assert np.prod(Grid.windows(size, 512, 512).shape) == 38416


def test_augmentation_moves_image_and_labels_together():
    rng = np.random.default_rng(3)
    labels = np.zeros((64, 64), np.float32)
    labels[10:30, 5:25] = 1
    image = np.repeat((labels * 255).astype(np.uint8)[..., None], 3, axis=2)
    for _ in range(20):
        moved, soft = augmented(image, labels, rng, crop_min=0.4, colour=False)
        assert moved.shape == image.shape and soft.shape == labels.shape
        assert np.mean((moved[..., 0] > 127) != (soft > 0.5)) < 0.05
    seen = {turned(image, labels, rng)[1].tobytes() for _ in range(100)}
    assert len(seen) == 8
    same = [coloured(image, np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(*same)


def test_hue_moves_by_up_to_40_degrees_as_20_of_albumentations_does():
    red, rng = Image.new("RGB", (1, 1), (250, 60, 60)), np.random.default_rng(0)
    hues = []
    for _ in range(2000):
        colour = np.asarray(shifted_hsv(red, rng))[0, 0] / 255
        hues.append((colorsys.rgb_to_hsv(*colour)[0] * 360 + 180) % 360 - 180)
    assert -41 < min(hues) < -38 and 38 < max(hues) < 41
    assert np.mean(np.abs(hues) > 20) == pytest.approx(0.5, abs=0.05), "evenly over the range"
