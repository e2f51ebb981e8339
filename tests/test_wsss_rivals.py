"""SEAM, SC-CAM, Adv-CAM and HAMIL: their formulas against figures of the released code."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_segmentation_nets import batch, fill, near, sums, x
from torch import nn
from torch.nn import functional

from benchmark.learning.nets.backbones import Backbone
from benchmark.learning.nets.ham_net import HamNet, vgg16
from benchmark.learning.nets.resnet38 import ResNet38
from benchmark.learning.nets.seam_net import SeamNet, correlated, separated
from benchmark.learning.nets.two_heads import TwoHeads
from benchmark.methods.wsss import hamil, sc_cam, seam
from benchmark.methods.wsss.adv_cam import Climb, steps_at
from benchmark.methods.wsss.hamil import HamilParams, taught_loss, trio_loss
from benchmark.methods.wsss.patch_training import late_poly_rate
from benchmark.methods.wsss.seam import SeamParams


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Fixed(nn.Module):
    """A backbone that gives the maps it holds, whatever the images."""

    def __init__(self, *maps):
        super().__init__()
        self.maps = maps
        self.conv = nn.Conv2d(3, 1, 1)

    def forward(self, images):
        return list(self.maps)


def fixed(*maps):
    backbone = Backbone(Fixed(*maps), tuple(each.shape[1] for each in maps))
    backbone.forward = lambda images: maps
    return backbone


def frac(values):
    return values % 1


# the shared backbone and schedule


def test_maps_of_the_wide_resnet38():
    with torch.device("meta"):
        net = ResNet38(4)
    net.to_empty(device="cpu")
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    low, middle, deep = fill(net)(x(3, 32, 32)[None])
    assert (low.shape[1:], middle.shape[1:], deep.shape[1:]) == ((512, 4, 4), (1024, 4, 4), (4096, 4, 4))
    sums(low, S=2902.06709, D=21.98115, a0=0.588828)
    sums(middle, S=4746.99642, D=33.35527, aZ=1.971935)
    sums(deep, S=12925.85392, D=-228.44888, a0=0.370597)


def test_what_seam_and_sc_cam_freeze():
    with torch.device("meta"):
        net = TwoHeads(Backbone(ResNet38(4), (512, 1024, 4096)), 2, 0, frozen=True)
    trunk = {name: weight for name, weight in net.named_parameters() if name.startswith("backbone.body")}
    assert sum(weight.numel() for name, weight in trunk.items() if ".bn" not in name) == 105_023_168
    assert sum(weight.numel() for name, weight in trunk.items() if ".bn" in name) == 47_744
    assert sum(weight.numel() for weight in trunk.values() if weight.requires_grad) == 104_202_240


def test_the_rate_stays_at_its_last_value():
    expected = {0: 0.01, 1: 0.00990995, 50: 0.00535887, 99: 0.00015849, 101: 0.00015849}
    assert {step: late_poly_rate(step, 100, 0.01) for step in expected} == pytest.approx(expected, abs=1e-8)


# SEAM


def test_pixel_correlation():
    f9 = fill(nn.Conv2d(8, 4, 1, bias=False))
    plane = x(1, 2, 3)
    maps = torch.cat([plane, frac(2 * plane), frac(5 * plane)])[None]
    expected = (
        "0.418972,0.416076,0.421429,0.416009,0.419661,0.40956,0.348066,0.348008,0.329381,0.327105,0.363546,0.353744,"
        "0.44865,0.450773,0.441228,0.44528,0.452294,0.458259"
    )
    near(correlated(f9(x(8, 2, 3)[None]), maps), [float(value) for value in expected.split(",")])


def test_seams_net():
    low, middle, deep = x(4, 2, 3)[None], 1 - x(5, 2, 3)[None], frac(3 * x(6, 2, 3))[None]
    net = fill(SeamNet(fixed(low, middle, deep), 2, widths=(2, 3, 4)))
    images = x(3, 16, 24)[None]
    a, r = net.maps(images)
    expected = (
        "0.053428,-0.923056,-0.625011,-0.797549,-0.774034,-1.380845,0.441211,-0.685197,-0.719434,0.195153,-0.702316,"
        "0.009731,0.153798,-0.140283,-0.085503,0.003784,-0.112893,-0.380214"
    )
    near(a, [float(value) for value in expected.split(",")])
    near(separated(a), [0.000045, 1, 1, 0.557721, 1, 0.977969, 0.999955, 0, 0, 0.442279, 0, 0.022031, *6 * [0]])
    first = [0.760708, 0.765995, 0.768316, 0.741361, 0.75303, 0.760658]
    second = [0.239291, 0.234003, 0.231682, 0.258637, 0.246968, 0.23934]
    near(r, [*first, *second, *6 * [0]])
    near(net.score_maps(images), [*second, *6 * [0]])
    sums(net(images)[1], S=383.999277, D=-9.967114)
    assert net(images)[0].shape == (1, 3, 16, 24)


def test_seams_heads_have_their_size():
    with torch.device("meta"):
        net = SeamNet(Backbone(ResNet38(4), (512, 1024, 4096)), 20)
    assert sum(weight.numel() for layer in net.new_layers for weight in layer.parameters()) == (
        4096 * 21 + 32_768 + 131_072 + 37_440
    )
    assert sum(weight.numel() for weight in net.parameters()) == 105_358_208


def test_seams_normalisations():
    plane = x(1, 2, 3)
    maps = torch.cat([2 * plane - 1, 1 - plane, torch.full_like(plane, 0.5)])[None]
    expected = [0, 0, 0.111098, 0.333317, 0.999976, 0, 0.999978, 0.699981, 0.399985, 0.299986, 0, 0.79998, *6 * [0]]
    near(seam.stretched(maps), expected)
    classes = torch.tensor([[0.2, 0.5, 0.7, 0.1], [0.2, 0.4, 0.9, 0.0]])[None, :, None]
    kept = seam.strongest(torch.cat([torch.full((1, 1, 1, 4), 0.3), classes], dim=1))
    near(kept, [0.3, 0.3, 0.3, 0.3, 0.2, 0.5, 0, 0.1, 0.2, 0, 0.9, 0])


def test_seams_loss_of_the_least():
    r = functional.pad(batch(2, 2, 4, 4) - 0.3, (0, 0, 0, 0, 1, 0))
    assert seam.least_loss(r, torch.ones(2, 3, 1, 1), 0.25).item() == pytest.approx(0.21590909, abs=1e-8)


@pytest.mark.parametrize(
    ("present", "expected", "slopes"),
    [
        (
            [[1, 1], [1, 1]],
            {"cls": 0.58143528, "min": 0.44424242, "er": 0.35628458, "ecr1": 0.69924235, "ecr2": 0.76745802},
            [0.715105, 2.00165, 1.322609, 2.083974],
        ),
        (
            [[1, 0], [1, 1]],
            {"cls": 0.63416255, "min": 0.29151515, "er": 0.27591449, "ecr1": 0.67269911, "ecr2": 0.71304044},
            [0.609025, 1.914563, 1.091616, 1.834313],
        ),
    ],
)
def test_seams_losses(present, expected, slopes):
    large, small = batch(2, 3, 10, 10), batch(2, 3, 5, 5)
    maps = [2 * large - 0.7, 1 - large, frac(3 * small) - 0.2, frac(7 * small)]
    a1, r1, a2, r2 = (each.requires_grad_() for each in maps)
    params = SeamParams(seam_scale=0.5)
    losses = seam.seam_losses((a1, r1), (a2, r2), torch.tensor(present, dtype=torch.float64), params)
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(expected, abs=1e-7)
    found = torch.autograd.grad(sum(losses.values()), (a1, r1, a2, r2))
    assert [slope.abs().sum().item() for slope in found] == pytest.approx(slopes, rel=1e-5)


# SC-CAM


def features():
    i, d = np.meshgrid(np.arange(12), np.arange(4), indexing="ij")
    return (((7 * i + 3 * d + i * d) % 11) / 11 + 2 * (i % 3 == d)).astype(np.float32)


PRESENT = np.array([[i % 4 != 1, i % 4 != 0] for i in range(12)])


@pytest.mark.parametrize(
    ("clusters", "classes"),
    [
        (2, ([0, 1, 0, 1, 0, 1, 1, 1, 1], [0, 0, 1, 0, 1, 0, 1, 0, 0])),
        (3, ([0, 1, 0, 2, 0, 2, 1, 2, 1], [0, 1, 2, 1, 2, 0, 2, 0, 1])),
    ],
)
def test_sub_classes_are_the_best_clusters(clusters, classes):
    labels = sc_cam.sub_labels(features(), PRESENT, clusters, 10)
    for index, expected in enumerate(classes):
        own = labels[PRESENT[:, index], index * clusters : (index + 1) * clusters]
        assert own.argmax(axis=1).tolist() == expected
    assert (labels.sum(axis=1) == PRESENT.sum(axis=1)).all()
    if clusters == 3:
        bits = {0: [1, 0, 0, 0, 0, 0], 2: [0, 1, 0, 0, 1, 0], 3: [1, 0, 0, 0, 0, 1], 7: [0, 0, 1, 1, 0, 0]}
        bits |= {11: [0, 1, 0, 0, 1, 0], 9: [0, 0, 0, 0, 0, 1]}
        assert {image: labels[image].astype(int).tolist() for image in bits} == bits


@pytest.mark.filterwarnings("error")
def test_equal_patches_and_few_patches_leave_clusters_empty():
    """An empty cluster is a sub-class that no patch has: no bit, no warning, a finite loss."""
    same = sc_cam.sub_labels(np.ones((6, 4), np.float32), np.ones((6, 2), np.bool_), 3, 2)
    assert same.sum(axis=0).tolist() == [6, 0, 0, 6, 0, 0]
    few = sc_cam.sub_labels(features()[:2], np.array([[True, False], [True, False]]), 5, 2)
    assert few.sum(axis=0).tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    targets = torch.from_numpy(np.concatenate([np.ones((6, 2)), same], axis=1))
    assert torch.isfinite(sc_cam.two_level_loss(torch.zeros(6, 2), torch.zeros(6, 6), targets, 5.0))


def test_the_loss_of_both_levels():
    a, b = torch.meshgrid(torch.arange(3), torch.arange(2), indexing="ij")
    parents = (4 * ((7 * a + 3 * b) % 11) / 11 - 2).double().requires_grad_()
    a, b = torch.meshgrid(torch.arange(3), torch.arange(6), indexing="ij")
    children = (4 * ((5 * a + 2 * b) % 13) / 13 - 2).double().requires_grad_()
    own = torch.tensor([[1, 0], [1, 1], [0, 1]])
    sub = torch.tensor([[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 1], [0, 0, 0, 1, 0, 0]])
    targets = torch.cat([own, sub], dim=1).double()
    loss = sc_cam.two_level_loss(parents, children, targets, 5.0)
    assert loss.item() == pytest.approx(5.48088917, abs=1e-7)
    assert sc_cam.two_level_loss(parents, None, own.double(), 5.0).item() == pytest.approx(0.67423396, abs=1e-7)
    slopes = torch.autograd.grad(loss, (parents, children))
    assert [slope.abs().sum().item() for slope in slopes] == pytest.approx([0.40661987, 2.74602780], abs=1e-7)


def test_two_heads_on_one_feature():
    deep = x(4, 2, 3)[None]
    net = fill(TwoHeads(fixed(deep, deep, deep), 2, 4))
    near(net.features(deep), [0.424242, 0.378788, 0.5, 0.454545])
    parents, children = net(deep)
    near(parents, [-1.498222, 0.847946])
    near(children, [-1.498222, 0.847946, -0.067459, -0.533088])
    near(net.score_maps(deep)[0, 1], [0.602165, 1.457247, 0.877592, 0.155148, 0.729837, 1.265684])
    assert (net.score_maps(deep) >= 0).all()


# Adv-CAM


def climb(**changes):
    trunk = fill(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.ReLU()))
    head = fill(nn.Conv2d(4, 2, 1, bias=False))
    positive = (head.weight[:, :, 0, 0] > 0).sum(dim=1)
    options = {"steps": 3, "rate": 0.08, "keep": 7.0, "lit": 0.5, **changes}
    return Climb(lambda images: head(trunk(images)), torch.zeros(2), positive, **options)


def path(how, target, steps):
    """Each step's objective, CAM, image before it, and slope."""
    images = 2 * x(3, 4, 5)[None] - 1
    now, first = torch.stack([images, images.flip(-1)], dim=1), None
    for _ in range(steps):
        now.requires_grad_()
        goal, cam = how.objective(now, target, first)
        first = cam if first is None else first
        (slope,) = torch.autograd.grad(goal.sum(), now)
        yield SimpleNamespace(j=goal.item(), cam=cam[0], x=now.detach(), slope=slope)
        now = how.moved(now.detach(), slope)


def test_the_climb():
    how = climb()
    zero, one, two = path(how, 1, 3)
    assert (zero.cam.sum().item(), zero.j) == pytest.approx((5.06444425, 1.53844452), abs=1e-7)
    near(zero.cam, [0.136179, 0.339053, 0.282432, 0.328315, 0.25296])
    assert (zero.slope.abs().max().item(), zero.slope.abs().sum().item()) == pytest.approx((0.12961438, 4.69592831))
    sums(one.x, S=-12.69543647, A=62.45477277)
    near(one.x, [-1, -0.481486, 0.089941, 0.657273, -0.824431])
    assert (one.cam.sum().item(), one.j) == pytest.approx((5.55259299, 0.99942538), abs=1e-7)
    near(one.cam, [0.157214, 0.35445, 0.313759, 0.346108, 0.265688])
    assert (one.slope.abs().max().item(), one.slope.abs().sum().item()) == pytest.approx((1.6112139, 34.06474069))
    lit = [(step.cam > 0.5 * step.cam.max()).flatten().nonzero().flatten().tolist() for step in (zero, one, two)]
    assert lit == [[6, 12], [6, 12], [6, 12, 13, 19]]
    sums(two.x, S=-11.95619375, A=61.80020253)
    near(two.x, [-0.961486, -0.443411, 0.11926, 0.658955, -0.824934])
    assert (two.cam.sum().item(), two.j) == pytest.approx((5.35447254, 0.73596898), abs=1e-7)
    total = how(2 * x(3, 4, 5)[None] - 1, 1)
    near(total / (total.max() + 1e-5), [0.181363, 0.425737, 0.365072, 0.416363, 0.317553])


def test_the_climb_without_what_holds_it_back():
    _, _, two = path(climb(keep=0.0), 1, 3)
    sums(two.x, S=-14.48178202)
    assert two.cam.sum().item() == pytest.approx(6.04500702, abs=1e-7)
    total = climb(keep=0.0)(2 * x(3, 4, 5)[None] - 1, 1)
    near(total / (total.max() + 1e-5), [0.181106, 0.408317, 0.361442, 0.398707, 0.306066])


def test_a_class_that_is_nowhere_has_a_cam_of_zeros():
    zero, one = path(climb(), 0, 2)
    assert (zero.j, one.j) == pytest.approx((-1.53844452, -1.37111658), abs=1e-7)
    total = climb()(2 * x(3, 4, 5)[None] - 1, 0)
    assert not total.any()


def test_the_range_of_values_can_only_shrink():
    how = climb(rate=0.3)
    image = torch.tensor([0.0, 0.5, 1.0]).reshape(1, 1, 1, 1, 3)
    after = how.moved(image, torch.tensor([1.0, 0.0, -1.0]).reshape(image.shape))
    near(after, [0.3, 0.5, 0.7])
    near(how.moved(after, torch.tensor([-1.0, 0.0, 1.0]).reshape(image.shape)), [0.3, 0.5, 0.7])


def test_the_papers_cam_has_no_factor():
    images = 2 * x(3, 4, 5)[None] - 1
    how = replace(climb(), positive=None)
    scores = functional.relu(how.scores(torch.cat([images, images.flip(-1)])))[:, 1]
    torch.testing.assert_close(how(images, 1, 1), scores[:1] + scores[1:].flip(-1))


def test_images_of_a_batch_climb_alone():
    images = torch.stack([2 * x(3, 4, 5) - 1, 1 - x(3, 4, 5)])
    together = climb()(images, 1)
    alone = torch.cat([climb()(image[None], 1) for image in images])
    torch.testing.assert_close(together, alone)


def test_steps_at_half_the_scale():
    assert {steps: steps_at(0.5, steps) for steps in (3, 5, 8, 10, 11, 27)} == {3: 3, 5: 5, 8: 5, 10: 5, 11: 5, 27: 13}
    assert steps_at(1.0, 27) == 27


# HAMIL


def test_ham_net_has_the_size_of_the_released_code():
    with torch.device("meta"):
        net = HamNet(vgg16(pretrained=False, weights=None), 2)
    assert sum(weight.numel() for weight in net.parameters()) == 21_797_190


def test_ham_nets_taps_lie_behind_relu():
    net = HamNet(vgg16(pretrained=False, weights=None), 2).float()
    maps = net.backbone(torch.rand(1, 3, 48, 48, dtype=torch.float32))
    assert [tuple(each.shape[1:]) for each in maps] == [(256, 6, 6), (512, 6, 6), (512, 6, 6)]
    assert all((each >= 0).all() for each in maps)
    names = {f"features.{number}.weight" for number in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)}
    assert {name for name in net.backbone.body.state_dict() if name.endswith("weight")} == names


def maps():
    y = torch.stack([x(2, 3, 3), frac(x(2, 3, 3) + 0.1)])
    i, j = torch.meshgrid(torch.arange(3), torch.arange(3), indexing="ij")
    mask = (i + j) % 2
    return 4 * y - 2, 4 * frac(3 * y) - 2, 4 * frac(5 * y) - 2, torch.stack([mask, 1 - mask])


def test_a_net_learns_where_the_other_two_agree():
    own, first, second, mask = maps()
    assert functional.cross_entropy(own, mask).item() == pytest.approx(1.01755410, abs=1e-7)
    agree = (first.argmax(dim=1) == second.argmax(dim=1)).int().flatten(1).tolist()
    assert agree == [[1, 0, 1, 0, 0, 0, 0, 1, 1], [1, 0, 0, 1, 1, 0, 0, 0, 0]]
    losses = taught_loss(own, (first, second), mask, HamilParams())
    assert losses["ce"].item() == pytest.approx(0.91535231, abs=1e-7)
    assert losses["kd"].item() == pytest.approx(0.2 * 0.51941055, abs=1e-7)
    assert sum(losses.values()).item() == pytest.approx(1.01923442, abs=1e-7)


def test_each_of_the_three_nets_learns_from_the_others_alone():
    """The gradient of one net's logits is that of its own loss: the others are constants in it."""
    own, first, second, mask = maps()
    logits = torch.cat([own, first, second]).float().requires_grad_()
    (slope,) = torch.autograd.grad(trio_loss(logits, mask, HamilParams()), logits)
    alone = own.float().requires_grad_()
    losses = taught_loss(alone, (first.float(), second.float()), mask, HamilParams())
    (expected,) = torch.autograd.grad(sum(losses.values()), alone)
    torch.testing.assert_close(slope[:2], expected)


def test_ignored_pixels_teach_nothing():
    own, first, second, mask = maps()
    mask[:, 2] = 255
    valid = [each[:, :, :2] for each in (own, first, second)]
    found = taught_loss(own, (first, second), mask, HamilParams())
    expected = taught_loss(valid[0], (valid[1], valid[2]), mask[:, :2], HamilParams())
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {name: value.item() for name, value in expected.items()}
    )


def test_the_mean_of_views_is_a_map_in_place():
    """A net that answers with the image itself gives it back, whatever the turns and flips."""
    net = SimpleNamespace(score_maps=lambda images: images[:, :2])
    params = HamilParams(
        patch_side=16, patch_stride=16, view_side=32, view_spread=0.0, cls_mean=(0, 0, 0), cls_std=(1, 1, 1)
    )
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 255
    patch = SimpleNamespace(pixels=pixels, present=None)
    views = [(32, quarters, mirrored) for quarters in range(4) for mirrored in (False, True)]
    torch.set_default_dtype(torch.float32)
    found = hamil.mean_of_views(net, views, params, "cpu", [patch])[0, 0]
    assert found[:7].min() > 0.9 and found[9:].max() < 0.1
    drawn = partial(hamil.draw_views, HamilParams())
    assert drawn(np.random.default_rng(0)) == drawn(np.random.default_rng(0))
    sides = [side for side, _, _ in drawn(np.random.default_rng(0))]
    assert len(sides) == 20 and 192 <= min(sides) < max(sides) <= 320
