"""Stages of encoders, CAM of frozen ones, the light feature pyramid, and how the family's `quick` trains."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from benchmark.annotations import LabelImage
from benchmark.context import Context
from benchmark.errors import ConfigError
from benchmark.learning.augment import Augmentation
from benchmark.learning.encoders.stage_maps import create_stages
from benchmark.learning.nets.fpn import FpnNet
from benchmark.learning.segmentation import mask_training
from benchmark.learning.segmentation.mask_training import create_net, pixel_transform, train_segmentation
from benchmark.learning.segmentation.segmentation_params import SEG_QUICK, SegmentationParams
from benchmark.learning.segmentation.sliding_window import tile_probabilities
from benchmark.learning.training import one_cycle_rate
from benchmark.methods.segmentation.pspnet import Pspnet
from benchmark.methods.segmentation.supervised import SupervisedParams
from benchmark.methods.wsss import frozen_stages
from benchmark.methods.wsss.cam_seg import CamSeg, CamSegParams
from benchmark.methods.wsss.classifier_params import ClassifierParams
from benchmark.methods.wsss.frozen_stages import FrozenMaps, FrozenStages, fit_linear, patch_means
from benchmark.methods.wsss.oeem import Oeem
from benchmark.slides import Grid, Slide
from benchmark.supervision import Labels, Ledger, Supervision, View

FIX = "x"
SMALL = {
    **{"patch_side": 32, "patch_stride": 16, "cls_backbone": "test_resnet", "cls_pretrained": False},
    **{"cam_from": "frozen-stages", "frozen_scales": (1.0,), "frozen_cell": 8, "cam_merge": "score"},
}


# stages


def test_the_last_stages_of_an_encoder_of_the_catalogue_have_its_weights():
    stages = create_stages("imagenet-lite0", 4, pretrained=True, weights=None, fix=FIX).eval()
    assert (stages.channels, stages.strides) == ((24, 40, 112, 320), (4, 8, 16, 32))
    maps = stages(torch.zeros(1, 3, 50, 64))
    assert [tuple(each.shape[1:]) for each in maps] == [(24, 13, 16), (40, 7, 8), (112, 4, 4), (320, 2, 2)]
    blank = create_stages("imagenet-lite0", 4, pretrained=False, weights=None, fix=FIX)
    again = create_stages("imagenet-lite0", 4, pretrained=True, weights=None, fix=FIX)
    stem = "body.conv_stem.weight"
    assert torch.equal(stages.state_dict()[stem], again.state_dict()[stem])
    assert not torch.equal(stages.state_dict()[stem], blank.state_dict()[stem])


@pytest.mark.parametrize("name", ["uni", "vit_small_patch16_224", "lunit-dino-s16"])
def test_an_encoder_without_stages_is_refused_with_some_that_have_them(name):
    with pytest.raises(ConfigError, match=f"'{name}' has no 3 stages of growing stride") as error:
        create_stages(name, 3, pretrained=False, weights=None, fix=FIX)
    assert "imagenet-lite0" in str(error.value.fix)
    assert "imagenet-resnet50" in str(error.value.fix)
    assert "uni" not in str(error.value.fix)


# frozen CAM


def test_the_mean_over_a_patch_counts_positions_by_the_area_they_share():
    maps = torch.arange(12.0).reshape(1, 3, 4)  # positions of 8 px on a slide of 32 × 24 px
    grid = Grid.windows((32, 24), 12, 4)
    found = patch_means(maps, grid, (32, 24))
    pixels = np.kron(maps[0].numpy(), np.ones((8, 8)))
    expected = [pixels[y : y + 12, x : x + 12].mean() for _, _, x, y in grid.patches()]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5)


def test_maps_of_a_mirrored_slide_are_mirrored_and_scales_lie_side_by_side():
    params = ClassifierParams(**{**SMALL, "frozen_scales": (1.0, 0.5)})
    encoder = FrozenMaps(params, "cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    maps = encoder(pixels)
    assert maps.shape == (2 * (48 + 192 + 96), 6, 8)
    torch.testing.assert_close(encoder(np.ascontiguousarray(pixels[:, ::-1])), maps.flip(-1), atol=1e-4, rtol=1e-4)


def test_a_linear_layer_is_that_of_scikit_learn_on_raw_features():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    features = rng.normal(3, 2, (80, 5)).astype(np.float32)
    present = np.stack([features[:, 0] + rng.normal(size=80) > 3, features[:, 1] > 2], axis=1)
    weight, bias = fit_linear(features, present, 0.1, ("a", "b"))
    for index in (0, 1):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        model.fit(features, present[:, index])
        ours = features @ weight[index].numpy() + bias[index].item()
        np.testing.assert_allclose(ours, model.decision_function(features), atol=1e-3)


@pytest.mark.parametrize(("value", "word"), [(True, "all"), (False, "none")])
def test_a_class_that_nothing_tells_from_the_others_is_refused(value, word):
    present = np.array([[True, value], [False, value], [True, value]])
    with pytest.raises(ConfigError, match=f"class 'gland' is in {word} of the 3 training patches"):
        fit_linear(np.eye(3, dtype=np.float32), present, 1.0, ("normal", "gland"))


class Truth:
    """What `Labels` reads from: one label image per slide."""

    classes = ("normal", "gland")

    def __init__(self, masks):
        self.masks = masks

    def truth(self, slide):
        return LabelImage(self.masks[slide.id])


@pytest.fixture
def masks():
    """Two slides with a square each, and one smaller than a patch."""
    first, second = np.zeros((96, 128), np.uint8), np.zeros((96, 96), np.uint8)
    first[:, :64] = 1
    second[16:64, 32:80] = 1
    return {"first": first, "second": second, "small": np.zeros((24, 40), np.uint8)}


@pytest.fixture
def train(tmp_path, masks):
    """Slides that are dark and rough where the mask is 1, bright elsewhere."""
    rng = np.random.default_rng(0)
    slides = []
    for name, mask in masks.items():
        noise = rng.normal(0, 20, (*mask.shape, 3)) * (1 + mask[..., None])
        pixels = np.where(mask[..., None] > 0, 90, 200) + noise
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
        slides.append(Slide(name, tmp_path / f"{name}.png", name))
    return View(slides, Labels(Truth(masks), slides, (Supervision.PATCH, Supervision.FULL), Ledger()))


def context(folder, **options):
    return Context(geometry=SimpleNamespace(classes=Truth.classes), folder=folder, ledger=Ledger(), **options)


def made(train, folder, **changes):
    torch.manual_seed(0)  # the encoder's random weights
    source = FrozenStages(ClassifierParams(**{**SMALL, **changes}))
    surroundings = context(folder)
    state = source.learn(train, View([], train.labels), surroundings)
    return state, {refine: source.masks(state, train, surroundings, refine=refine) for refine in (True, False)}


def agreement(found, masks):
    return np.concatenate([(found[name] == mask).ravel() for name, mask in masks.items()]).mean()


def test_frozen_cam_finds_what_patch_labels_name(tmp_path, train, masks):
    _, found = made(train, tmp_path)
    assert {name: mask.shape for name, mask in found[True].items()} == {n: mask.shape for n, mask in masks.items()}
    assert agreement(found[True], masks) > 0.9
    assert agreement(found[True], masks) > agreement(found[False], masks) > 0.7
    assert not found[True]["small"].any()


def test_maps_that_do_not_fit_are_computed_again_with_the_same_result(tmp_path, train, monkeypatch):
    state, _ = made(train, tmp_path)
    monkeypatch.setattr(frozen_stages, "KEPT", 0)
    again, _ = made(train, tmp_path)
    assert all(np.array_equal(scores, again["scores"][name]) for name, scores in state["scores"].items())


def test_masks_without_refinement_ask_for_no_label(tmp_path, train):
    source = FrozenStages(ClassifierParams(**SMALL))
    state, _ = made(train, tmp_path)
    sealed = View(train.slides, Labels(train.labels, train.slides, (), Ledger()))
    assert source.masks(state, sealed, context(tmp_path), refine=False).keys() == {"first", "second", "small"}


def test_without_training_slides_there_is_nothing_to_learn_from(tmp_path, train):
    with pytest.raises(ConfigError, match="no training slides"):
        made(View([], train.labels), tmp_path)


# the net and its training


def test_the_pyramid_has_logits_on_the_finest_grid_and_uses_every_stage():
    stages = create_stages("test_resnet", 4, pretrained=False, weights=None, fix=FIX)
    net = FpnNet(stages, 2, channels=8, dropout=0.0)
    logits, aux = net(torch.randn(2, 3, 72, 40))
    assert logits.shape == (2, 2, 18, 10)
    assert aux is None
    logits.sum().backward()
    assert all(lateral.weight.grad.abs().sum() > 0 for lateral in net.laterals)


def test_one_cycle_is_that_of_pytorch():
    optimiser = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=50, cycle_momentum=False)
    for step in range(50):
        assert one_cycle_rate(step, 50, 1e-3) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-6)
        optimiser.step()
        if step < 49:
            schedule.step()
    assert 0 < one_cycle_rate(0, 1, 1e-3) <= 1e-3


def test_turned_crops_keep_image_and_labels_together():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    labels = (image[..., 0] > 128).astype(np.uint8)
    turn = Augmentation(ratio=(1, 1), crop=64, flip=0.5, distortion=False, turn=True, mean=(0, 0, 0), std=(1, 1, 1))
    shapes = set()
    for seed in range(12):
        pixels, target = turn(image, labels, np.random.default_rng(seed))
        valid = target != 255
        assert torch.equal(target[valid] == 1, pixels[0][valid] > 128)
        shapes.add((int(valid.any(dim=1).sum()), int(valid.any(dim=0).sum())))
    assert shapes == {(40, 60), (60, 40)}


def test_jitter_moves_brightness_and_contrast_a_little():
    image = np.full((8, 8, 3), 100, np.uint8)
    labels = np.zeros((8, 8), np.uint8)
    means = [
        Augmentation((1, 1), 8, 0, False, False, 0.1, (0, 0, 0), (1, 1, 1))(image, labels, np.random.default_rng(seed))[
            0
        ].mean()
        for seed in range(20)
    ]
    assert all(100 - 29 < mean < 100 + 29 for mean in means)
    assert np.std(means) > 5


def test_pixels_are_standardised_as_the_encoder_was_trained():
    quick = SegmentationParams(**SEG_QUICK)
    assert pixel_transform(quick) == ((127.5,) * 3, (127.5,) * 3)
    assert pixel_transform(SegmentationParams())[0] == pytest.approx((123.675, 116.28, 103.53))


def tiny(**changes):
    settings = {"seg_backbone": "test_resnet", "seg_pretrained": False, "crop": 64, "tile": 96, "tile_stride": 96}
    return SupervisedParams(**{**SEG_QUICK, "iterations": 6, "seg_batch": 2, **settings, **changes})


class Killed(Exception):
    """Stands for `kill -9`."""


class Stage(Pspnet):
    """The segmentation stage alone."""


def trained(folder, train, masks, surroundings=None):
    method = Stage(tiny())
    surroundings = surroundings or context(folder)
    method.fit(train, View([], train.labels), surroundings.bind(method))
    return method.state()


def test_training_resumes_with_the_same_bits(tmp_path, train, masks, monkeypatch):
    original = mask_training.Training
    often = lambda *args, **options: original(*args, **{**options, "save_every": 2})  # noqa: E731
    monkeypatch.setattr(mask_training, "Training", often)
    whole = trained(tmp_path / "whole", train, masks)
    interrupted = context(tmp_path / "killed")
    drawn = interrupted.generator

    def generator(*axes):
        if axes == ("segmentation", 4):
            raise Killed
        return drawn(*axes)

    interrupted.generator = generator
    with pytest.raises(Killed):
        trained(tmp_path / "killed", train, masks, interrupted)
    resumed = trained(tmp_path / "killed", train, masks)
    again = trained(tmp_path / "again", train, masks)
    assert all(torch.equal(whole[name], resumed[name]) and torch.equal(whole[name], again[name]) for name in whole)


def test_what_amp_asks_for_reaches_training_and_scoring(tmp_path, train, masks, monkeypatch):
    asked = []
    monkeypatch.setattr(
        mask_training, "train_steps", lambda net, optimiser, training, context: asked.append(training.half)
    )
    images = {slide.id: slide.read(0, 0, *slide.size) for slide in train}
    labels = {name: mask.astype(np.int8) for name, mask in masks.items()}
    for amp in ("none", "training", "all"):
        train_segmentation(images, labels, tiny(amp=amp), None, context(tmp_path))
    assert asked == [False, True, True]
    scored = []
    monkeypatch.setattr(
        "benchmark.learning.segmentation.sliding_window.autocast",
        lambda device, half=False: scored.append(half) or torch.inference_mode(),
    )
    for amp in ("none", "training", "all"):
        tile_probabilities(create_net(tiny(), 2, initialise=False).eval(), torch.zeros(1, 3, 64, 64), tiny(amp=amp))
    assert scored == [False, False, True]


# the presets


@pytest.mark.parametrize("method", [Oeem, CamSeg, Pspnet])
def test_quick_says_which_weights_it_starts_from(method):
    seen = method(method.Params(**method.presets["quick"])).encoders()
    assert set(seen) == {"imagenet-lite0: ImageNet-1k"}
    assert method(method.Params(**method.presets["smoke"])).encoders()[0].endswith("random weights")


def test_paper_is_the_published_setting():
    paper = CamSegParams()
    assert (paper.cam_from, paper.cls_backbone, paper.cam_scales) == ("classifier", "resnet38", (1, 1.25, 1.5, 1.75, 2))
    assert (paper.seg_net, paper.seg_backbone, paper.seg_scaling) == ("pspnet", "resnet38", "imagenet")
    assert (paper.seg_optimiser, paper.seg_schedule, paper.seg_turn, paper.seg_jitter) == ("sgd", "poly", False, 0)
    assert paper.amp == "none"
