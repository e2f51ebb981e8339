"""The weight maps against values worked out by hand in double precision, and against their laws."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.learning.losses import mean_cross_entropy, pixel_cross_entropy
from benchmark.methods.wsss.example_mining import (
    Weighting,
    hard_pixel_loss,
    hard_pixels,
    single_class,
    weight_map,
    weighted_loss,
)

TOLERANCE = 2e-6
A = [[[[2.0, 0.0], [0.0, -1.0]], [[0.0, 0.0], [1.0, 1.0]]]]
A_LABELS = [[[0, 1], [0, 1]]]
D = [*A, [[[0.5, 3.0], [-2.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]]
MAPS = ("c_max", "c_diff", "l_norm", "lc_mix")


def weights(logits, labels, how):
    logits, labels = torch.tensor(logits), torch.tensor(labels)
    return weight_map(logits, pixel_cross_entropy(logits, labels), labels, how)


def loss(logits, labels, how) -> float:
    return weighted_loss(torch.tensor(logits), torch.tensor(labels), how).item()


def equal(found, expected):
    torch.testing.assert_close(torch.as_tensor(found), torch.tensor(expected), atol=TOLERANCE, rtol=0)


def test_losses_of_two_labels():
    equal(pixel_cross_entropy(torch.tensor(A), torch.tensor(A_LABELS)), [[[0.126928, 0.693147], [1.313262, 0.126928]]])


@pytest.mark.parametrize(
    ("name", "expected", "mean"),
    [
        ("none", [[[1.0, 1.0], [1.0, 1.0]]], 0.565066),
        ("c_max", [[[0.880797, 0.5], [0.731059, 0.880797]]], 0.382560),
        ("c_diff", [[[0.761594, 0.0], [0.462117, 0.761594]]], 0.200054),
        ("l_norm", [[[1.39227, 0.790347], [0.425114, 1.39227]]], 0.364887),
        ("lc_mix", [[[1.226307, 0.395173], [0.310783, 1.226307]]], 0.248340),
    ],
)
def test_two_labels(name, expected, mean):
    equal(weights(A, A_LABELS, Weighting(name)), expected)
    assert loss(A, A_LABELS, Weighting(name)) == pytest.approx(mean, abs=TOLERANCE)


def test_plain_cross_entropy_is_the_weighted_loss_without_weights():
    logits, labels = torch.tensor(A), torch.tensor([[[0, 1], [0, 255]]])
    assert mean_cross_entropy(logits, labels) == weighted_loss(logits, labels, Weighting("none"))


def test_weights_are_constants_for_the_gradient():
    logits = torch.tensor(A, requires_grad=True)
    weighted_loss(logits, torch.tensor(A_LABELS), Weighting("l_norm")).backward()
    expected = [[-0.041491, 0.098793], [-0.077696, 0.041491]]
    equal(logits.grad, [[expected, [[-value for value in row] for row in expected]]])


@pytest.mark.parametrize("name", MAPS)
def test_a_single_class_gets_plain_cross_entropy(name):
    labels = [[[1, 1], [1, 1]]]
    equal(weights(A, labels, Weighting(name)), [[[1.0, 1.0], [1.0, 1.0]]])
    assert loss(A, labels, Weighting(name)) == pytest.approx(0.815066, abs=TOLERANCE)


def test_ignored_pixels_as_the_released_code_has_them():
    labels = [[[0, 1], [0, 255]]]
    released = Weighting("l_norm", count_padding=True)
    equal(weights(A, labels, released), [[[1.329636, 0.754791], [0.405989, 1.509583]]])
    assert loss(A, labels, released) == pytest.approx(0.306280, abs=TOLERANCE)
    assert loss(A, labels, Weighting("none", count_padding=True)) == pytest.approx(0.533334, abs=TOLERANCE)


def test_ignored_pixels_are_left_out_by_default():
    labels = [[[0, 1], [0, 255]]]
    equal(weights(A, labels, Weighting("l_norm")), [[[1.601703, 0.909235], [0.489062, 0.0]]])
    expected = (1.601703 * 0.126928 + 0.909235 * 0.693147 + 0.489062 * 1.313262) / 3
    assert loss(A, labels, Weighting("l_norm")) == pytest.approx(expected, abs=2 * TOLERANCE)


@pytest.mark.parametrize("name", MAPS)
def test_a_single_class_beside_ignored_pixels_is_still_single(name):
    labels = [[[1, 1], [1, 255]]]
    released = Weighting(name, count_padding=True)
    equal(weights(A, labels, released), [[[1.0, 1.0], [1.0, 1.0]]])
    assert loss(A, labels, released) == pytest.approx(0.783334, abs=TOLERANCE)
    assert loss(A, labels, Weighting(name)) == pytest.approx(0.783334 * 4 / 3, abs=2 * TOLERANCE)


def test_scope_of_the_mean():
    labels = [*A_LABELS, [[0, 0], [1, 1]]]
    per_image = [[[1.39227, 0.790347], [0.425114, 1.39227]], [[0.842348, 1.289078], [1.191945, 0.676629]]]
    per_batch = [[[1.284343, 0.72908], [0.39216, 1.284343]], [[0.907645, 1.389006], [1.284343, 0.72908]]]
    equal(weights(D, labels, Weighting("l_norm")), per_image)
    equal(weights(D, labels, Weighting("l_norm", scope="batch")), per_batch)
    assert loss(D, labels, Weighting("l_norm")) == pytest.approx(0.317727, abs=TOLERANCE)
    assert loss(D, labels, Weighting("l_norm", scope="batch")) == pytest.approx(0.314071, abs=TOLERANCE)
    assert loss(D, labels, Weighting("none")) == pytest.approx(0.450376, abs=TOLERANCE)


def test_only_the_single_class_image_of_a_batch_is_plain():
    labels = [*A_LABELS, [[0, 0], [0, 0]]]
    assert loss(D, labels, Weighting("l_norm")) == pytest.approx(0.600286, abs=TOLERANCE)
    assert loss(D, labels, Weighting("none")) == pytest.approx(0.700376, abs=TOLERANCE)
    equal(weights(D, labels, Weighting("l_norm"))[1], [[1.0, 1.0], [1.0, 1.0]])


def test_c_diff_of_three_classes_uses_the_minimum():
    logits, labels = [[[[1.0, 0.0]], [[0.0, 0.0]], [[-1.0, 0.0]]]], [[[0, 2]]]
    expected = {
        "c_max": [[[0.665241, 0.333333]]],
        "c_diff": [[[0.57521, 0.0]]],
        "l_norm": [[[1.332382, 0.667618]]],
        "lc_mix": [[[0.886355, 0.222539]]],
    }
    equal(pixel_cross_entropy(torch.tensor(logits), torch.tensor(labels)), [[[0.407606, 1.098612]]])
    for name, values in expected.items():
        equal(weights(logits, labels, Weighting(name)), values)


def test_easy_pixels_outweigh_hard_ones():
    losses = torch.tensor([[[0.1, 0.1, 2.0, 2.0]]])
    labels = torch.tensor([[[0, 0, 1, 1]]])
    found = weight_map(torch.zeros(1, 2, 1, 4), losses, labels, Weighting("l_norm"))
    equal(found, [[[1.739783, 1.739783, 0.260217, 0.260217]]])
    assert (found * losses).mean().item() == pytest.approx(0.347206, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("threshold", "kept", "expected"),
    [
        (0.7, 2, [0, 1, 1, 0, 1]),
        (0.4, 2, [0, 1, 1, 0, 0]),
        (0.7, 100_000, [0, 1, 1, 1, 1]),
        (None, 2, [0, 1, 1, 0, 0]),
        (None, 100_000, [1, 1, 1, 1, 1]),
    ],
)
def test_hard_examples(threshold, kept, expected):
    agreed = torch.tensor([[[0.9, 0.5, 0.2, 0.75, 0.65]]])
    assert hard_pixels(agreed, torch.ones_like(agreed, dtype=torch.bool), threshold, kept).int().tolist() == [
        [expected]
    ]


def test_hard_examples_ignore_ignored_pixels_and_count_per_image():
    agreed = torch.tensor([[[0.9, 0.1]], [[0.5, 0.2]]])
    valid = torch.tensor([[[True, False]], [[True, True]]])
    assert hard_pixels(agreed, valid, None, 1).tolist() == [[[False, False]], [[True, True]]]
    assert not hard_pixels(agreed, torch.zeros_like(valid), 0.7, 1).any()


def test_ohem_loss_is_the_mean_over_all_pixels():
    found = hard_pixel_loss(torch.tensor(A), torch.tensor(A_LABELS), 0.7, 1)
    assert found.item() == pytest.approx((0.693147 + 1.313262) / 4, abs=TOLERANCE)


def test_normalised_weights_have_mean_one():
    labels = [*A_LABELS, [[0, 255], [1, 1]]]
    for name in ("c_max", "c_diff", "lc_mix"):
        found = weights(D, labels, Weighting(name, normalise=True))
        assert found[0].mean().item() == pytest.approx(1, abs=1e-6)
        assert found[1].sum().item() / 3 == pytest.approx(1, abs=1e-6)


def test_half_precision_logits_are_weighted_in_full_precision():
    logits = torch.randn(2, 2, 64, 64, generator=torch.Generator().manual_seed(0))
    labels = (logits[:, 0] > 0).long()
    half = weight_map(logits.half(), pixel_cross_entropy(logits.half(), labels), labels, Weighting("l_norm"))
    assert half.dtype == torch.float32
    assert half.mean(dim=(1, 2)).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_hopeless_and_fully_ignored_images_stay_finite():
    logits = torch.full((2, 2, 2, 2), 200.0)
    logits[:, 1] = -200.0
    labels = torch.tensor([[[0, 1], [1, 1]], [[255, 255], [255, 255]]])
    for name in MAPS:
        assert torch.isfinite(weighted_loss(logits, labels, Weighting(name)))
    assert weighted_loss(logits[1:], labels[1:], Weighting("l_norm")).item() == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 4), st.booleans())
def test_laws(seed, classes, holes):
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, classes, 5, 7, generator=draw)
    labels = torch.randint(0, classes, (2, 5, 7), generator=draw)
    if holes:
        labels[:, :, 5:] = 255
    valid = labels != 255
    losses = pixel_cross_entropy(logits, labels)
    found = {name: weight_map(logits, losses, labels, Weighting(name)) for name in MAPS}
    mixed = ~single_class(labels, classes)
    agreed = torch.exp(-losses)
    for image in torch.nonzero(mixed).flatten().tolist():
        inside = valid[image]
        assert found["l_norm"][image][inside].mean().item() == pytest.approx(1, abs=1e-5)
        torch.testing.assert_close(
            found["l_norm"][image][inside], agreed[image][inside] / agreed[image][inside].mean(), rtol=1e-5, atol=1e-6
        )
        soft = (torch.softmax(-losses[image][inside], 0) * losses[image][inside]).sum()
        weighted = (found["l_norm"] * losses)[image][inside].mean()
        torch.testing.assert_close(weighted, soft, rtol=1e-4, atol=1e-6)
        assert weighted <= losses[image][inside].mean() + 1e-6
        if classes == 2:
            expected = 2 * found["c_max"][image] - 1
            torch.testing.assert_close(found["c_diff"][image][inside], expected[inside], rtol=1e-5, atol=1e-5)
    assert not any(weight.requires_grad for weight in found.values())


@pytest.mark.parametrize("scope", ["image", "batch"])
def test_easy_pixels_outweigh_hard_ones_where_every_loss_underflows(scope):
    """exp(-l) is 0 in single precision beyond 104; the weights are those of the same losses made smaller by 200."""
    losses = torch.tensor([[[0.1, 0.1, 2.0, 2.0]]])
    labels = torch.tensor([[[0, 0, 1, 1]]])
    hopeless = weight_map(torch.zeros(1, 2, 1, 4), losses + 200, labels, Weighting("l_norm", scope=scope))
    torch.testing.assert_close(hopeless, torch.tensor([[[1.739783, 1.739783, 0.260217, 0.260217]]]), rtol=1e-4, atol=0)
    alike = weight_map(torch.zeros(1, 2, 1, 4), torch.full((1, 1, 4), 300.0), labels, Weighting("l_norm", scope=scope))
    equal(alike, [[[1.0, 1.0, 1.0, 1.0]]])


def test_ohem_counts_padding_where_asked():
    labels = torch.tensor([[[0, 1], [0, 255]]])
    plain = hard_pixel_loss(torch.tensor(A), labels, 0.7, 1)
    assert hard_pixel_loss(torch.tensor(A), labels, 0.7, 1, count_padding=True).item() == pytest.approx(
        plain.item() * 3 / 4
    )
