"""Encoders: three maps on one grid of stride 8; weight files that fit, and every way in which they do not."""

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from benchmark.errors import ConfigError, WeightsError
from benchmark.learning.encoders.timm_nets import strides_of
from benchmark.learning.encoders.weights import fit_state, freeze_batchnorm, load_state
from benchmark.learning.nets.backbones import Backbone, create_backbone
from benchmark.learning.nets.resnet38 import BasicBlock, BottleneckBlock

SMALL = "test_resnet"


def create(name=SMALL, *, pretrained=False, weights=None, purpose="cam", **options):
    return create_backbone(name, pretrained=pretrained, weights=weights, purpose=purpose, **options)


@pytest.fixture(scope="module")
def resnet38():
    with torch.device("meta"):
        return create("resnet38")


def test_resnet38_has_the_size_of_the_paper(resnet38):
    convolutions = sum(part.weight.numel() for part in resnet38.modules() if isinstance(part, nn.Conv2d))
    assert convolutions / 1e6 == pytest.approx(105.0, abs=0.05)
    assert all(part.bias is None for part in resnet38.modules() if isinstance(part, nn.Conv2d))


@pytest.mark.parametrize(
    ("options", "dilation"), [({"purpose": "cam"}, 2), ({"purpose": "segmentation"}, 4), ({"b7_dilation": 3}, 3)]
)
def test_dilations_of_resnet38(options, dilation):
    with torch.device("meta"):
        body = create("resnet38", **options).body
    assert body.b7.conv_branch2b1.dilation == (dilation, dilation)
    assert body.b6.conv_branch2b1.dilation == (4, 4)
    assert [(b.conv_branch2a.dilation[0], b.conv_branch2b1.dilation[0]) for b in (body.b5, body.b5_1, body.b5_2)] == [
        (1, 2),
        (2, 2),
        (2, 2),
    ]
    assert (body.b6.dropout_2b1.p, body.b7.dropout_2b2.p) == (0.3, 0.5)


def test_resnet38_bears_the_names_of_the_published_file(resnet38):
    names = set(resnet38.body.state_dict())
    blocks = [*("b2", "b2_1", "b2_2", "b3", "b3_1", "b3_2", "b4", "b4_1", "b4_2", "b4_3", "b4_4", "b4_5")]
    blocks += [*("b5", "b5_1", "b5_2", "b6", "b7")]
    assert {name.split(".")[0] for name in names} == {"conv1a", "bn7", *blocks}
    assert {"conv1a.weight", "b2.conv_branch1.weight", "b4_5.bn_branch2b1.running_var", "bn7.bias"} <= names
    assert {"b6.bn_branch2b2.weight", "b7.conv_branch2b2.weight", "b7.conv_branch1.weight"} <= names
    assert "b2_1.conv_branch1.weight" not in names


def test_the_shortcut_starts_from_the_normalised_input():
    torch.manual_seed(0)
    same, other = BasicBlock((4, 6, 4), 1, (1, 1)).eval(), BasicBlock((4, 6, 8), 2, (1, 1)).eval()
    x = torch.randn(1, 4, 8, 8)
    for block in (same, other):
        nn.init.zeros_(block.conv_branch2b1.weight)
    assert torch.equal(same(x)[0], x)
    out, entrance = other(x)
    assert torch.allclose(entrance, (x / (1 + 1e-5) ** 0.5).relu())
    assert torch.allclose(out, other.conv_branch1(entrance))
    last = BottleneckBlock(4, 8, 2, 0.5).eval()
    nn.init.zeros_(last.conv_branch2b2.weight)
    assert torch.allclose(last(x)[0], last.conv_branch1(entrance))


def test_a_timm_model_is_dilated_to_stride_8():
    backbone = create()
    maps = backbone(torch.randn(2, 3, 64, 48))
    assert [stage.shape[1] for stage in maps] == list(backbone.channels)
    assert {tuple(stage.shape[2:]) for stage in maps} == {(8, 6)}
    assert backbone.stem.in_channels == 3


def test_a_timm_model_that_cannot_be_dilated_is_brought_to_one_grid():
    backbone = create("fasternet_t0")
    shapes = [tuple(stage.shape) for stage in backbone(torch.randn(1, 3, 60, 64))]
    assert shapes == [(1, channels, 8, 8) for channels in backbone.channels]


def test_maps_are_resized_bilinearly():
    class Body(nn.Module):
        def forward(self, images):
            return [images[:, :, ::8, ::8], images[:, :, ::16, ::16], images[:, :, ::32, ::32]]

    images = torch.zeros(1, 3, 64, 64)
    images[:, :, :, 32:] = 1
    first, second, third = Backbone(Body(), (3, 3, 3))(images)
    assert first[0, 0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert second[0, 0, 0].tolist() == [0, 0, 0, 0.25, 0.75, 1, 1, 1]
    assert third.shape == first.shape


def test_an_unknown_backbone_gets_suggestions():
    with pytest.raises(ConfigError, match="resnet10_t") as caught:
        create("resnet10_t")
    assert "resnet10t" in str(caught.value.fix)


def test_a_model_without_stages_is_refused(monkeypatch):
    def refuse(name, **options):
        raise RuntimeError("features_only not implemented")

    strides_of.cache_clear()
    monkeypatch.setattr("timm.create_model", refuse)
    with pytest.raises(ConfigError, match=r"'resnet18' cannot give maps of its stages: features_only not implemented"):
        create("resnet18")


def test_pretrained_resnet38_needs_a_file():
    with pytest.raises(WeightsError, match=r"res38d\.pth") as caught:
        create("resnet38", pretrained=True)
    assert "cls_weights" in str(caught.value.fix)
    assert "cls_pretrained=false" in str(caught.value.fix)


def test_pretrained_offline_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="could not be loaded") as caught:
        create(pretrained=True, purpose="segmentation")
    assert "seg_weights" in str(caught.value.fix)


@pytest.fixture
def weights(tmp_path):
    """A weight file of the whole classifier, and its tensors."""
    import timm

    torch.manual_seed(3)
    state = timm.create_model(SMALL, num_classes=5).state_dict()
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    return path, state


@pytest.mark.parametrize("form", ["pth", "wrapped", "safetensors"])
def test_a_weight_file_round_trip(weights, tmp_path, form):
    path, state = weights
    if form == "wrapped":
        torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}, path)
    elif form == "safetensors":
        path = tmp_path / "weights.safetensors"
        save_file(state, path)
    backbone = create(weights=path)
    assert torch.equal(backbone.stem.weight, state["conv1.0.weight"])
    assert torch.equal(backbone.body.state_dict()["layer4.0.bn2.weight"], state["layer4.0.bn2.weight"])


def test_a_classifier_is_left_out_and_anything_else_is_refused(weights):
    path, state = weights
    assert {"fc.weight", "fc.bias"} <= state.keys()
    assert not any(name.startswith("body.fc.") for name in create(weights=path).state_dict())
    torch.save({**state, "extra.weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match=r"no place for, first 'extra\.weight'"):
        create(weights=path)


def test_a_wrong_shape_names_the_tensor(weights):
    path, state = weights
    state["layer1.0.conv1.weight"] = torch.zeros(7, 5, 3, 3)
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"weights\.pth.*layer1\.0\.conv1\.weight.*\(7, 5, 3, 3\).*expected \(32, "):
        create(weights=path)


def test_a_missing_tensor_is_named(weights):
    path, state = weights
    del state["layer1.0.conv1.weight"]
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"lacks 1 of .*layer1\.0\.conv1\.weight"):
        create(weights=path)


def test_weights_of_another_model_leave_the_module_as_it_was(weights):
    module = nn.Linear(2, 2)
    before = module.weight.clone()
    with pytest.raises(WeightsError, match="lacks 2 of 2"):
        fit_state(module, weights[1], origin="other.pth")
    assert torch.equal(module.weight, before)


class Surprise:
    def __reduce__(self):
        return (print, ("this must never be printed",))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.pth", b"not a weight file at all", "not a weight file"),
        ("empty.pth", b"", "cannot be read"),
        ("cut.pth", b"PK\x03\x04" + b"\x00" * 40, "cannot be read"),
        ("evil.pth", pickle.dumps({"a": Surprise()}, protocol=2), "not a weight file"),
        ("text.safetensors", b"not a weight file at all", "safetensors"),
    ],
    ids=["text", "empty", "cut", "evil", "safetensors"],
)
def test_what_is_not_a_weight_file(tmp_path, capsys, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        load_state(path)
    assert name in caught.value.what
    assert "never be printed" not in capsys.readouterr().out


@pytest.mark.parametrize("value", [[1, 2], torch.zeros(3), {}, {"conv1.weight": 3}])
def test_a_file_of_something_else(tmp_path, value):
    torch.save(value, tmp_path / "thing.pth")
    with pytest.raises(WeightsError, match=r"thing\.pth holds"):
        load_state(tmp_path / "thing.pth")


def test_a_missing_weight_file(tmp_path):
    with pytest.raises(WeightsError, match=r"absent\.pth does not exist"):
        create("resnet38", weights=tmp_path / "absent.pth")


def test_old_files_without_batch_counters_fit():
    module = nn.BatchNorm2d(3)
    state = {name: value + 1 for name, value in module.state_dict().items() if "num_batches" not in name}
    fit_state(module, state, origin="old.pth")
    assert module.running_mean.tolist() == [1, 1, 1]


def test_a_frozen_batchnorm_does_not_move():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    freeze_batchnorm(net)
    net(torch.from_numpy(np.random.default_rng(0).normal(3, 2, (4, 3, 5, 5)).astype(np.float32))).sum().backward()
    assert net[1].running_mean.tolist() == [0, 0, 0, 0]
    assert net[1].weight.grad is None
    assert net[0].weight.grad is not None


def test_the_published_file_loads_as_it_is(resnet38, tmp_path):
    half = torch.full((), 0.5)  # one number, expanded: the file has every shape and next to no bytes
    state = {name: half.expand(value.shape) for name, value in resnet38.body.state_dict().items()}
    torch.save({name: value for name, value in state.items() if "num_batches" not in name}, tmp_path / "res38d.pth")
    backbone = create("resnet38", weights=tmp_path / "res38d.pth").eval()
    loaded = backbone.body.state_dict().items()
    assert all(bool((value == 0.5).all()) for name, value in loaded if "num_batches" not in name)
    with torch.inference_mode():
        maps = backbone(torch.zeros(1, 3, 24, 12))
    assert [tuple(stage.shape) for stage in maps] == [(1, 512, 3, 2), (1, 1024, 3, 2), (1, 4096, 3, 2)]
    assert backbone.channels == (512, 1024, 4096)
