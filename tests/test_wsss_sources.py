"""The mask sources of SEAM, SC-CAM, Adv-CAM and HAMIL at work: small slides, bad input, kills, presets."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from test_oeem_cam import Killed, context, view
from torch import nn

from benchmark.errors import ConfigError, WeightsError
from benchmark.learning.encoders import weights
from benchmark.learning.nets.ham_net import HamNet, vgg16
from benchmark.learning.nets.seam_net import separated
from benchmark.learning.nets.unet import UnetNet
from benchmark.methods.wsss.adv_cam import AdvCam
from benchmark.methods.wsss.cam import ClassifierCam
from benchmark.methods.wsss.cam_seg import CamSeg
from benchmark.methods.wsss.hamil import Hamil, Trio, ham_net
from benchmark.methods.wsss.sc_cam import ScCam
from benchmark.methods.wsss.seam import Seam
from benchmark.supervision import View

RIVALS = (Seam, ScCam, AdvCam, Hamil)
SMALL = {"patch_side": 32, "patch_stride": 16, "cls_input": 48, "cls_batch": 8, "cls_steps": 3, "cls_lr": 0.02}
OF_ITS_OWN = {
    Seam: {"seam_scale": 0.5, "view_flip": False},
    ScCam: {"sub_epochs": (2,), "sub_horizon": 2},
    AdvCam: {},
    Hamil: {"view_side": 48, "new_rate": 1.0},
    CamSeg: {"cam_from": "classifier"},
}


@pytest.fixture
def masks():
    """Slides whose sides are no multiple of the stride, one smaller than a patch; glands in two."""
    first, second = np.zeros((64, 75), np.uint8), np.zeros((70, 64), np.uint8)
    first[:, :40] = 1
    second[10:40, 20:60] = 1
    return {"first": first, "second": second, "small": np.zeros((20, 40), np.uint8)}


def method(kind, **changes):
    settings = {**kind.presets["smoke"], **SMALL, **OF_ITS_OWN[kind], "cls_epochs": 2, **changes}
    return kind(kind.Params(**settings))


def made(kind, train, surroundings, **changes):
    """The masks as the segmentation stage gets them."""
    owner = method(kind, examine_cam=False, **changes)
    surroundings.bind(owner)
    return owner.mask_source(train, View([], train.labels), surroundings).masks()


@pytest.mark.parametrize("kind", RIVALS)
def test_masks_of_slides_of_any_size(kind, tmp_path, masks):
    train = view(tmp_path, masks)
    rounds = {"sub_epochs": (12,), "sub_horizon": 12} if kind is ScCam else {"cls_epochs": 12}
    found = made(kind, train, context(tmp_path), **rounds)
    assert {name: mask.shape for name, mask in found.items()} == {name: mask.shape for name, mask in masks.items()}
    assert not found["small"].any()
    right = np.concatenate([(found[name] == mask).ravel() for name, mask in masks.items()])
    assert right.mean() > 0.8


@pytest.mark.parametrize("kind", RIVALS)
def test_a_killed_training_goes_on_to_the_same_masks(kind, tmp_path, masks):
    train = view(tmp_path, masks)
    whole = made(kind, train, context(tmp_path / "whole"))
    name = {Seam: "seam", ScCam: "round 1", AdvCam: "classifier", Hamil: "ham-net"}[kind]
    interrupted = context(tmp_path / "killed")
    drawn = interrupted.generator

    def generator(*axes):
        if axes == (name, 4):
            raise Killed
        return drawn(*axes)

    interrupted.generator = generator
    with pytest.raises(Killed):
        made(kind, train, interrupted)
    resumed = context(tmp_path / "killed")
    began = []
    resumed.generator = lambda *axes: began.append(axes) or drawn(*axes)
    found = made(kind, train, resumed)
    assert next(axes for axes in began if axes[0] == name and len(axes) == 2) == (name, 3)
    assert ("round 0", 0) not in began
    assert all(np.array_equal(found[slide], whole[slide]) for slide in masks)


@pytest.mark.parametrize("kind", [*RIVALS, CamSeg])
@pytest.mark.parametrize(("value", "absent"), [(0, "gland"), (1, "normal")])
def test_one_class_in_all_patches_leaves_nothing_to_learn(kind, value, absent, tmp_path):
    train = view(tmp_path, {"one": np.full((48, 48), value, np.uint8), "two": np.full((64, 48), value, np.uint8)})
    with pytest.raises(ConfigError, match=f"class '{absent}' is in none of the"):
        made(kind, train, context(tmp_path))


def test_adv_cam_finds_the_classifier_of_cam_seg_done(tmp_path, masks, monkeypatch):
    train = view(tmp_path, masks)
    made(CamSeg, train, context(tmp_path))
    monkeypatch.setattr(ClassifierCam, "learn", lambda *arguments: pytest.fail("learnt again"))
    assert set(made(AdvCam, train, context(tmp_path))) == set(masks)


def test_seams_windows_are_an_option(tmp_path, masks):
    train = view(tmp_path, masks)
    found = made(Seam, train, context(tmp_path), seam_windows=True, cam_scales=(1.0, 1.5))
    assert set(found) == set(masks)


# a CAM of zeros


def test_a_cam_of_zeros_is_finite_and_leaves_the_pixel_to_the_lower_class(tmp_path, masks):
    assert separated(torch.full((1, 3, 2, 2), -1.0)).flatten(2)[0].tolist() == [[1.0] * 4, [0.0] * 4, [0.0] * 4]
    net = ham_net(method(Hamil).params, 2, initialise=False).eval()
    for head in (net.extra[-1], net.classifier_middle, net.classifier_deep):
        nn.init.constant_(head.bias, -1e3)
    assert not net.score_maps(torch.rand(2, 3, 48, 48)).any()
    owner, surroundings = method(Hamil), context(tmp_path)
    found = owner.cam_source().masks(net.state_dict(), view(tmp_path, masks), surroundings, refine=False)
    assert not any(mask.any() for mask in found.values())


# weights


def test_weights_of_another_net_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "architectures_of", lambda state: [])  # seconds, for a hint on timm's networks
    torch.save(UnetNet(1, width=4).state_dict(), tmp_path / "unet.pth")
    with pytest.raises(WeightsError, match=r"unet\.pth lacks"):
        vgg16(pretrained=False, weights=tmp_path / "unet.pth")
    other, surroundings = method(Seam), context(tmp_path)
    with pytest.raises(WeightsError, match="the saved state of 'hamil'"):
        method(Hamil).restore(other.create(2, initialise=False).state_dict(), surroundings)


def test_published_weights_of_vgg16_load_without_their_classifier(tmp_path):
    published = {f"features.{key}": value for key, value in vgg16(pretrained=False, weights=None).body.features.items()}
    state = {f"{name}.{part}": value for name, layer in published.items() for part, value in layer.state_dict().items()}
    torch.save({**state, "classifier.0.weight": torch.zeros(2, 2)}, tmp_path / "vgg16.pth")
    net = HamNet(vgg16(pretrained=False, weights=tmp_path / "vgg16.pth"), 2)
    torch.testing.assert_close(net.backbone.body.features["28"].weight, published["features.28"].weight)


# HAMIL's segmentation stage


def test_three_nets_differ_and_answer_with_their_mean():
    torch.manual_seed(0)
    trio = method(Hamil).create(2, initialise=True)
    images = torch.rand(2, 3, 48, 48)
    assert trio.train()(images)[0].shape[0] == 6
    with torch.no_grad():
        together = trio.eval()(images)[0]
        alone = [net(images)[0] for net in trio.nets]
    torch.testing.assert_close(together, torch.stack(alone).mean(dim=0))
    assert not torch.equal(alone[0], alone[1])


def test_the_nets_of_the_paper_have_group_norm_and_keep_an_encoders_statistics():
    owner = Hamil(Hamil.Params(seg_pretrained=False, seg_backbone="resnet18"))
    trio = owner.create(2, initialise=True)
    assert isinstance(trio, Trio) and len(trio.nets) == 3
    deeplab = trio.nets[0].net
    decoder = [*deeplab.body.pyramid.modules(), *deeplab.body.refine.modules()]
    assert not any(isinstance(part, nn.BatchNorm2d) for part in decoder)
    deeplab.fixed = True
    norms = [part for part in deeplab.train().body.encoder.modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms and not any(norm.training for norm in norms)
    assert deeplab.eval()(torch.rand(1, 3, 50, 71)).shape == (1, 2, 50, 71)


# parameters


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (Seam, {"seam_scale": 0.1}, "makes 22 px of cls_input 224: at least 24"),
        (ScCam, {"sub_epochs": (62,)}, "of at most sub_horizon"),
        (ScCam, {"sub_epochs": ()}, "expected one or more"),
        (Hamil, {"crop": 228}, "crop"),
        (AdvCam, {"cam_from": "frozen-stages"}, "cam_from"),
        (Hamil, {"seg_batch": 1}, "deeplab needs 2"),
    ],
)
def test_settings_that_do_not_agree_are_refused(kind, changes, message):
    with pytest.raises(ValidationError, match=message):
        kind.Params(**changes)


@pytest.mark.parametrize("kind", RIVALS)
def test_quick_starts_from_the_weights_that_come_with_the_project(kind):
    quick = kind(kind.Params(**kind.presets["quick"]))
    assert set(quick.encoders()) == {"imagenet-lite0: ImageNet-1k"}
    assert quick.refits()
    assert kind.Params.model_fields["cls_batch"].default == {Seam: 8, ScCam: 16, AdvCam: 20, Hamil: 32}[kind]
