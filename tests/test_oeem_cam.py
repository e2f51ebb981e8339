"""OEEM's first stage: patches and their labels, the classifier's training, multi-scale CAM, refinement, merging."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from torch import nn
from torch.nn import functional

from benchmark.annotations import LabelImage
from benchmark.context import Context
from benchmark.errors import ConfigError, SupervisionError
from benchmark.learning.nets.backbones import Backbone
from benchmark.method import Method, MethodCard
from benchmark.methods.wsss.cam import Patch, evidence, pseudo_masks
from benchmark.methods.wsss.classifier import (
    CamNet,
    create_classifier,
    epoch_steps,
    released_rate,
    train_classifier,
    validation_loss,
)
from benchmark.methods.wsss.classifier_params import (
    CAM_FIELDS,
    CLASSIFIER_FIELDS,
    CLASSIFIER_QUICK,
    CLASSIFIER_SMOKE,
    ClassifierParams,
)
from benchmark.methods.wsss.merging import Merger, Place
from benchmark.methods.wsss.patches import (
    PatchSet,
    augmented,
    crop_box,
    patch_grid,
    patch_labels,
    resized,
    standardised,
)
from benchmark.slides import Grid, Slide
from benchmark.supervision import Labels, Ledger, Supervision, View

SMALL = {
    **{"patch_side": 32, "patch_stride": 16, "cls_input": 32, "cls_backbone": "test_resnet", "cls_pretrained": False},
    **{"cls_batch": 8, "cls_epochs": 2, "cls_lr": 0.05, "cam_scales": (1.0, 1.5), "cam_batch": 5},
}


def params(**changes):
    return ClassifierParams(**{**SMALL, **changes})


class Truth:
    """What `Labels` reads from: one label image per slide."""

    classes = ("normal", "gland")

    def __init__(self, masks):
        self.masks = masks

    def truth(self, slide):
        return LabelImage(self.masks[slide.id])


def view(folder, masks, declared=(Supervision.PATCH,), seed=0):
    """Slides that are dark and rough where the mask is 1, bright elsewhere."""
    rng = np.random.default_rng(seed)
    slides = []
    for name, mask in masks.items():
        noise = rng.normal(0, 20, (*mask.shape, 3)) * (1 + mask[..., None])
        pixels = np.where(mask[..., None] > 0, 90, 200) + noise
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{name}.png")
        slides.append(Slide(name, folder / f"{name}.png", name))
    return View(slides, Labels(Truth(masks), slides, declared, Ledger()))


@pytest.fixture
def masks():
    """Two slides with a square each, so that patches are of all three kinds, and one with none."""
    first, second = np.zeros((64, 80), np.uint8), np.zeros((72, 64), np.uint8)
    first[:, :40] = 1
    second[10:40, 20:60] = 1
    return {"first": first, "second": second, "empty": np.zeros((48, 48), np.uint8)}


def context(folder):
    return Context(geometry=SimpleNamespace(classes=Truth.classes), folder=folder, ledger=Ledger())


@pytest.fixture
def net():
    """A net whose running statistics are not those of a fresh BatchNorm."""
    torch.manual_seed(0)
    net = create_classifier(params(), 2, initialise=True).train()
    for images in torch.randn(3, 4, 3, 32, 32):
        net(images)
    return net.eval()


# patches and labels


@pytest.mark.parametrize(
    ("gland", "label"),
    [(0, [1, 0]), (627, [1, 0]), (628, [1, 1]), (6272, [1, 1]), (11916, [1, 1]), (11917, [0, 1]), (12544, [0, 1])],
)
def test_a_class_is_present_above_five_percent(tmp_path, gland, label):
    mask = np.zeros(112 * 112, np.uint8)
    mask[:gland] = 1
    patches = PatchSet.of(view(tmp_path, {"one": mask.reshape(112, 112)}), ClassifierParams())
    assert patches.present.astype(int).tolist() == [label]


@pytest.mark.parametrize(("height", "width", "shape"), [(522, 775, (9, 13)), (433, 574, (7, 10)), (430, 567, (7, 10))])
def test_patches_of_the_published_sizes(height, width, shape):
    grid = patch_grid(SimpleNamespace(size=(width, height)), ClassifierParams())
    assert grid.shape == shape
    if height == 522:
        assert grid.y.tolist() == [0, 56, 112, 168, 224, 280, 336, 392, 410]
        assert grid.x[-1] == 663


@pytest.mark.parametrize(
    ("side", "origins"), [(112, [0]), (140, [0, 28]), (168, [0, 56]), (196, [0, 56, 84]), (224, [0, 56, 112])]
)
def test_windows_of_the_enlarged_patch(side, origins):
    assert side in {int(112 * scale) for scale in ClassifierParams().cam_scales}
    assert Grid.windows((side, side), 112, 56).x.tolist() == origins


def test_patches_without_a_class_teach_nothing(tmp_path, masks):
    training = view(tmp_path, masks)
    unknown = np.zeros((*patch_grid(training.slides[0], params()).shape, 2), np.bool_)
    asked = {slide.id: training.labels.patch for slide in training}
    asked[training.slides[0].id] = lambda *_: unknown
    labelled = View(training.slides, SimpleNamespace(patch=lambda slide, *more: asked[slide.id](slide, *more)))
    patches, lost = PatchSet.of(labelled, params()), unknown[..., 0].size
    assert len(patches.pixels) == len(patches.present) == len(PatchSet.of(training, params())) - lost
    assert patches.present.any(axis=1).all()
    places = patch_labels(training.slides[0], patch_grid(training.slides[0], params()), labelled, 0.05)
    assert places == [None] * lost


def test_patches_are_views_and_lie_where_the_grid_says(tmp_path, masks):
    training = view(tmp_path, masks)
    patches = PatchSet.of(training, params())
    image = training.slides[0].read(0, 0, 80, 64)
    grid = patch_grid(training.slides[0], params())
    assert len(patches) == sum(grid.rows * grid.cols for grid in (patch_grid(slide, params()) for slide in training))
    for number, (_, _, x, y) in enumerate(grid.patches()):
        assert np.array_equal(patches.pixels[number], image[y : y + 32, x : x + 32])
    assert np.shares_memory(patches.pixels[0], patches.pixels[1])
    assert patches.present[0].tolist() == [False, True]
    assert patches.present[grid.cols - 1].tolist() == [True, False]
    assert patches.present[1].tolist() == [True, True]


@given(st.integers(8, 200), st.floats(0.3, 1.0), st.integers(0, 2**32))
def test_a_crop_lies_in_its_patch_and_is_large_enough(side, area, seed):
    top, left, height, width = crop_box(side, side, area, np.random.default_rng(seed))
    assert 0 <= top <= side - height
    assert 0 <= left <= side - width
    assert height * width >= area * side * side - (height + width)


def test_augmentation_is_a_function_of_its_generator():
    patch = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    draws = [augmented(patch, params(), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert draws[0].shape == (3, 32, 32)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    still = augmented(patch, params(cls_area_min=1.0, cls_flip=0.0), np.random.default_rng(0))
    assert still.dtype == torch.uint8
    turned = augmented(patch, params(cls_area_min=1.0, cls_flip=1.0), np.random.default_rng(0))
    assert torch.equal(turned, still.flip(1, 2))


@pytest.mark.parametrize(("side", "mode", "filter"), [(48, "bicubic", 3), (20, "bilinear", 2), (64, "bilinear", 2)])
def test_resizing_is_that_of_pillow(side, mode, filter):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    ours = resized(torch.from_numpy(pixels).permute(2, 0, 1)[None], side, mode)[0].permute(1, 2, 0).numpy()
    theirs = np.asarray(Image.fromarray(pixels).resize((side, side), filter))
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_standardised_as_the_paper_says():
    images = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    expected = [(1 - 0.787) / 0.167, (1 - 0.511) / 0.248, (1 - 0.785) / 0.131]
    assert standardised(images, ClassifierParams(), "cpu").flatten().tolist() == pytest.approx(expected, rel=1e-5)


# the net and its training


def test_logits_are_the_mean_of_the_score_maps(net):
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        maps = net.score_maps(images)
        assert maps.shape == (2, 2, 4, 4)
        assert torch.allclose(maps.mean(dim=(2, 3)), net(images), atol=1e-5)
    assert float(maps.detach().min()) < 0 < float(maps.detach().max())  # neither ReLU nor softmax


def test_frozen_norms_stay_frozen_in_training_mode():
    body = nn.Sequential(nn.Conv2d(3, 4, 3, 8, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
    backbone = Backbone(Triple(body), (4, 4, 4))
    frozen = CamNet(backbone, 2, frozen=True).train()
    frozen(torch.randn(4, 3, 16, 16)).sum().backward()
    assert body[1].running_mean.abs().sum() == 0
    assert [weight.grad is None for weight in body.parameters()] == [True, True, True, True, False, False]
    assert CamNet(backbone, 2).train().backbone.body.body[1].training


class Triple(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, images):
        return [self.body(images)] * 3


def test_released_schedule():
    rates = [released_rate(step, 20, 0.01) for step in range(9000)]
    assert rates[:3] == pytest.approx([0.01, 0.00954885, 0.00909533], abs=1e-8)
    assert rates[18] == pytest.approx(0.001258925, abs=1e-8)
    assert set(rates[19:]) == {rates[19]}
    assert rates[19] == pytest.approx(0.000674641, abs=1e-8)


@pytest.mark.parametrize(("schedule", "momentum", "decay"), [("paper", 0.9, 1e-4), ("released", 1e-4, 0.0)])
def test_the_optimiser_of_each_schedule(monkeypatch, tmp_path, masks, schedule, momentum, decay):
    seen = {}

    def train_steps(net, optimiser, training, context):
        seen.update(optimiser.param_groups[0], first=training.rate(0), last=training.rate(training.steps - 1))

    monkeypatch.setattr("benchmark.methods.wsss.classifier.train_steps", train_steps)
    fit(tmp_path, view(tmp_path, masks), params(cls_schedule=schedule, cls_epochs=1))
    assert (seen["momentum"], seen["weight_decay"], seen["nesterov"]) == (momentum, decay, False)
    assert seen["first"] == 0.05


def test_an_epoch_has_whole_batches_only():
    assert epoch_steps(params(cls_batch=8), 31) == 3
    assert epoch_steps(params(cls_batch=8, cls_steps=2), 31) == 2
    assert epoch_steps(params(cls_batch=8), 5) == 1


class Stage(Method):
    """Runs the classifier as a stage, so that undeclared parameters would show."""

    name = "stage"
    supervision = frozenset({Supervision.PATCH})
    card = MethodCard("t", "c", "p")
    Params = ClassifierParams
    presets = {"paper": {}}

    def fit(self, train, validation, context):
        def train_it():
            return train_classifier(train, validation, self.params, context)

        self.weights = context.stage("classifier", train_it, uses=CLASSIFIER_FIELDS)

        def masks():
            net = create_classifier(self.params, 2, initialise=False)
            net.load_state_dict(self.weights)
            return pseudo_masks(net, train, self.params, context, refine=True)

        self.masks = context.stage("pseudo_masks", masks, uses=CAM_FIELDS, after=("classifier",))

    def predict(self, slide, labels, context):
        raise NotImplementedError

    def state(self):
        return self.weights

    def restore(self, state, context):
        self.weights = state


def fit(folder, train, values, validation=None, surroundings=None):
    method = Stage(values)
    surroundings = surroundings or context(folder)
    method.fit(train, validation or View([], train.labels), surroundings.bind(method))
    return method


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


class Killed(Exception):
    """Stands for `kill -9`."""


def test_a_killed_training_goes_on_with_the_same_numbers(tmp_path, masks):
    train = view(tmp_path, masks)
    whole = fit(tmp_path / "whole", train, params())
    interrupted = context(tmp_path / "interrupted")
    drawn = interrupted.generator

    def generator(*axes):
        if axes == ("classifier", 4):
            raise Killed
        return drawn(*axes)

    interrupted.generator = generator
    with pytest.raises(Killed):
        fit(tmp_path / "interrupted", train, params(), surroundings=interrupted)
    resumed = context(tmp_path / "interrupted")
    began = []
    resumed.generator = lambda *axes: began.append(axes) or drawn(*axes)
    method = fit(tmp_path / "interrupted", train, params(), surroundings=resumed)
    assert epoch_steps(params(), 28) == 3
    assert began[0] == ("classifier", 3)
    assert same(whole.weights, method.weights)


def test_training_finds_the_glands(tmp_path, masks):
    train = view(tmp_path, masks)
    method = fit(tmp_path, train, params(cls_epochs=12, cam_scales=(1.0,)))
    right = np.concatenate([(method.masks[slide.id] == masks[slide.id]).ravel() for slide in train])
    assert right.mean() > 0.8
    assert {name: mask.shape for name, mask in method.masks.items()} == {name: m.shape for name, m in masks.items()}
    assert {mask.dtype for mask in method.masks.values()} == {np.dtype(np.int8)}


def test_the_best_epoch_is_that_of_the_lowest_validation_loss(tmp_path, masks):
    (tmp_path / "validation").mkdir()
    train, validation = view(tmp_path, masks), view(tmp_path / "validation", masks, seed=1)
    values = params(cls_epochs=4, cls_lr=0.3, cls_select="best")
    surroundings = context(tmp_path)
    method = fit(tmp_path, train, values, validation, surroundings)
    losses = [value for name, value, _ in surroundings.reporter.history if name == "classifier/validation_loss"]
    assert len(losses) == 4
    net = create_classifier(values, 2, initialise=False)
    net.load_state_dict(method.weights)
    held_out = PatchSet.of(validation, values)
    assert validation_loss(net, held_out, values, surroundings) == pytest.approx(min(losses), rel=1e-4)


def test_selection_needs_validation_slides(tmp_path, masks):
    with pytest.raises(ConfigError, match="validation") as caught:
        fit(tmp_path, view(tmp_path, masks), params(cls_select="best"))
    assert caught.value.fix == "--set cls_select=last"


def test_no_training_slides(tmp_path):
    with pytest.raises(ConfigError, match="no training slides"):
        fit(tmp_path, view(tmp_path, {}), params())


# CAM, refinement, merging


def plain_cam(net, patch, values):
    """E of one patch, one window at a time, with Pillow: the paper's steps word by word."""
    side, total = values.patch_side, 0
    for scale in values.cam_scales:
        length = int(side * scale)
        image = np.asarray(Image.fromarray(patch).resize((length, length), Image.Resampling.BICUBIC))
        scores, cover = torch.zeros(2, length, length), torch.zeros(length, length)
        for y in Grid.windows((length, length), side, values.patch_stride).y:
            for x in Grid.windows((length, length), side, values.patch_stride).x:
                window = Image.fromarray(image[y : y + side, x : x + side])
                window = np.array(window.resize((values.cls_input,) * 2, Image.Resampling.BILINEAR)) / 255
                window = torch.from_numpy((window - values.cls_mean) / values.cls_std).float().permute(2, 0, 1)
                with torch.inference_mode():
                    maps = net.score_maps(window[None])
                maps = functional.interpolate(maps, size=(side, side), mode="bilinear")[0]
                scores[:, y : y + side, x : x + side] += maps
                cover[y : y + side, x : x + side] += 1
        total = total + functional.interpolate((scores / cover)[None], size=(side, side), mode="bilinear")[0]
    return total


@pytest.mark.parametrize("side", [24, 32, 48])
def test_batched_cam_equals_one_window_at_a_time(tmp_path, masks, net, side):
    values = params(cls_input=side, cam_scales=(1.0, 1.25, 2.0))
    patches = PatchSet.of(view(tmp_path, masks), values).pixels[:7]
    together = evidence(net, [Patch("s", 0, 0, None, pixels) for pixels in patches], values, "cpu")
    alone = torch.stack([plain_cam(net, pixels, values) for pixels in patches])
    assert together.shape == (7, 2, 32, 32)
    assert torch.allclose(together, alone, atol=0.1)  # Pillow and PyTorch round some pixels apart by one
    assert (together - alone).abs().mean() < 0.005


@pytest.mark.parametrize("merge", ["vote", "score"])
@pytest.mark.parametrize("refine", [True, False])
def test_the_batch_changes_no_mask(tmp_path, masks, net, refine, merge):
    train = view(tmp_path, masks)
    one, many = (
        pseudo_masks(net, train, params(cam_batch=size, cam_merge=merge), context(tmp_path), refine=refine)
        for size in (1, 50)
    )
    assert list(one) == list(many) == list(masks)
    assert all(np.array_equal(one[name], many[name]) for name in masks)


def test_single_label_patches_are_constant_and_need_no_net(tmp_path, net, monkeypatch):
    masks = {"gland": np.ones((48, 48), np.uint8), "normal": np.zeros((40, 56), np.uint8)}
    monkeypatch.setattr(net, "score_maps", None)
    for merge in ("vote", "score"):
        values = params(cam_merge=merge)
        found = pseudo_masks(net, view(tmp_path, masks), values, context(tmp_path), refine=True)
        assert all(np.array_equal(found[name], masks[name]) for name in masks)


def test_without_refinement_no_label_is_asked_for(tmp_path, masks, net):
    train = view(tmp_path, masks, declared=())
    assert set(pseudo_masks(net, train, params(), context(tmp_path), refine=False)) == set(masks)
    with pytest.raises(SupervisionError):
        pseudo_masks(net, train, params(), context(tmp_path), refine=True)


def test_refinement_excludes_absent_classes(tmp_path, masks, net):
    pixels = PatchSet.of(view(tmp_path, masks), params()).pixels[0]
    told = [None, np.array([True, True]), np.array([True, False]), np.array([False, True])]
    free, both, normal, gland = evidence(net, [Patch("s", 0, 0, one, pixels) for one in told], params(), "cpu")
    assert torch.isfinite(free).all()
    assert torch.equal(free, both)
    assert bool((normal.argmax(0) == 0).all())
    assert bool((gland.argmax(0) == 1).all())
    assert torch.equal(gland[1], free[1])


def test_a_slide_smaller_than_a_patch(tmp_path, net):
    masks = {"small": np.zeros((20, 40), np.uint8)}
    found = pseudo_masks(net, view(tmp_path, masks), params(), context(tmp_path), refine=False)
    assert found["small"].shape == (20, 40)


@pytest.mark.parametrize(
    ("votes", "label"),
    [([0, 1], 0), ([0, 1, 1, 0], 0), ([1, 1, 0], 1), ([1, 1, 1, 0], 1), ([0, 0, 0, 1, 1, 1], 0)],
)
def test_merging_hard_labels(votes, label):
    assert merged("vote", [(1.0 - vote, float(vote)) for vote in votes]) == label


def test_merging_scores_lets_a_sure_patch_win():
    assert merged("vote", [(0.0, 5.0), (1.0, 0.9), (1.0, 0.9)]) == 0
    assert merged("score", [(0.0, 5.0), (1.0, 0.9), (1.0, 0.9)]) == 1
    assert merged("score", [(0.0, 5.0), (1.0, -np.inf)]) == 0
    assert merged("score", [(-np.inf, 5.0), (1.0, -np.inf)]) == 0


def merged(how, scores):
    """The class of one pixel that patches cover with these scores per class."""
    values = ClassifierParams(cam_merge=how, patch_side=8, patch_stride=8)
    merger = Merger(values, 2)
    merger.open(SimpleNamespace(id="s", size=(8, 8)))
    patch = Place("s", 0, 0, None)
    for one in scores:
        merger.scored([patch], torch.tensor(one)[None, :, None, None].expand(1, 2, 8, 8))
    return int(merger.finish()["s"][3, 5])


# parameters


def test_defaults_are_those_of_the_paper():
    values = ClassifierParams()
    assert (values.patch_side, values.patch_stride, values.cls_input, values.cls_batch) == (112, 56, 224, 20)
    assert (values.cls_backbone, values.cls_schedule, values.cam_merge) == ("resnet38", "paper", "vote")


@pytest.mark.parametrize("preset", [CLASSIFIER_QUICK, CLASSIFIER_SMOKE])
def test_presets_fit_the_parameters(preset):
    values = ClassifierParams(**preset)
    assert not values.cls_pretrained or values.cls_backbone == "imagenet-lite0", "a download"


@pytest.mark.parametrize(
    "changes",
    [
        {"patch_stride": 113},
        {"presence": 0.5},
        {"cls_input": 100},
        {"cam_scales": (0.9,)},
        {"cam_scales": ()},
        {"cls_std": (0.1, 0.0, 0.1)},
        {"cls_schedule": "poly"},
        {"cls_weight": "res38d.pth"},
    ],
)
def test_values_out_of_range(changes):
    with pytest.raises(ValidationError, match=next(iter(changes))):
        ClassifierParams(**changes)
