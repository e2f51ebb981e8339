"""Frozen encoders: the published parameter counts, torchvision's numbers, and clear words when weights are missing."""

import numpy as np
import pytest
import timm
import torch

from benchmark.errors import ConfigError, WeightsError
from benchmark.learning.encoders.frozen import (
    arithmetic,
    create_encoder,
    entry_encoder,
    pretrained_on,
    vgg16_head,
    wrap_encoder,
)


@pytest.fixture(scope="module")
def vgg():
    import torchvision

    with torch.device("meta"):
        model = torchvision.models.vgg16(weights=None)
    generator = torch.Generator().manual_seed(3)
    for tensor in model.to_empty(device="cpu").parameters():  # its own initialisation takes five seconds
        scale = (2 / tensor[0].numel()) ** 0.5 if tensor.ndim > 1 else 0.01
        tensor.data.uniform_(-scale, scale, generator=generator)
    return model.eval()


@pytest.fixture(scope="module")
def vgg_file(vgg, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "vgg16.pth"
    torch.save(vgg.state_dict(), path)
    return path


def patches(number, side, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (number, side, side, 3), dtype=np.uint8)


def normalised(pixels):
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (images - mean) / std


def test_vgg16_has_the_published_numbers_of_parameters(vgg, vgg_file):
    head = vgg16_head(pretrained=False, weights=vgg_file)
    trunk = sum(tensor.numel() for name, tensor in vgg.state_dict().items() if name.startswith("features"))
    assert round(trunk / 1e6, 2) == 14.71
    assert round(sum(tensor.numel() for tensor in head) / 1e6, 2) == 123.64
    assert [tuple(tensor.shape) for tensor in head[::2]] == [(4096, 25088), (4096, 4096), (1000, 4096)]


def test_vgg16_trunk_and_fully_connected_layers_give_torchvisions_output(vgg, vgg_file):
    encoder = create_encoder("vgg16", part="trunk", pretrained=False, weights=vgg_file)
    assert encoder.dim == 25088
    pixels = patches(2, 224)
    features = encoder(pixels).clone()
    for weight, bias, last in zip(*[iter(vgg16_head(pretrained=False, weights=vgg_file))] * 2, (0, 0, 1), strict=True):
        features = features @ weight.T + bias
        features = features if last else features.relu()
    with torch.no_grad():
        torch.testing.assert_close(features, vgg(normalised(pixels)), rtol=1e-4, atol=1e-4)


def test_timms_layout_of_the_same_weights_gives_the_same_trunk(vgg_file, tmp_path):
    import timm

    with torch.device("meta"):
        state = timm.create_model("vgg16", pretrained=False).state_dict()
    known = torch.load(vgg_file, weights_only=True)
    state["head.fc.weight"], state["head.fc.bias"] = known["classifier.6.weight"], known["classifier.6.bias"]
    state.update({name: tensor for name, tensor in known.items() if name.startswith("features")})
    for number, layer in ((0, "fc1"), (3, "fc2")):
        weight = known[f"classifier.{number}.weight"]
        state[f"pre_logits.{layer}.weight"] = weight.view(state[f"pre_logits.{layer}.weight"].shape)
        state[f"pre_logits.{layer}.bias"] = known[f"classifier.{number}.bias"]
    torch.save(state, tmp_path / "timm.pth")
    options = {"part": "trunk", "pretrained": False, "side": 64}
    one = create_encoder("vgg16", weights=vgg_file, **options)
    other = create_encoder("vgg16", weights=tmp_path / "timm.pth", **options)
    assert one.digest == other.digest and one.dim == 2048
    for left, right in zip(
        vgg16_head(pretrained=False, weights=vgg_file),
        vgg16_head(pretrained=False, weights=tmp_path / "timm.pth"),
        strict=True,
    ):
        assert torch.equal(left, right)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_any_timm_model_can_be_pooled(name):
    encoder = create_encoder(name, pretrained=False, weights=None, side=160)
    features = encoder(patches(3, 160))
    assert features.shape == (3, encoder.dim) and features.dtype == torch.float32 and not features.requires_grad


def test_random_weights_follow_their_seed_and_leave_the_random_state_alone():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    options = {"pretrained": False, "weights": None, "side": 32}
    one, same = (create_encoder("test_resnet", seed=5, **options) for _ in range(2))
    other = create_encoder("test_resnet", seed=6, **options)
    assert one.digest == same.digest != other.digest
    assert torch.equal(before, torch.random.get_rng_state())


def test_features_that_a_gpu_made_in_tf32_are_not_taken_for_those_in_float32():
    assert arithmetic(torch.device("cuda:1")) == arithmetic(torch.device("cuda")) != "cuda"
    assert arithmetic(torch.device("cpu")) == "cpu", "what a CPU made is kept"


def test_digest_covers_weights_side_and_precision():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))
    first = wrap_encoder(module, name="own", dim=4, side=8, device="cpu").digest
    with torch.no_grad():
        module[1].weight[0, 0] += 1e-3
    assert wrap_encoder(module, name="own", dim=4, side=8, device="cpu").digest != first
    options = {"pretrained": False, "weights": None}
    digests = {
        create_encoder("test_resnet", side=32, **options).digest,
        create_encoder("test_resnet", side=64, **options).digest,
        create_encoder("test_resnet", side=32, precision="float16", **options).digest,
    }
    assert len(digests) == 3


def test_a_side_that_a_network_does_not_take_is_refused_with_the_option():
    class Fixed:
        name = "fixed"

        @staticmethod
        def build(*, side, weights=None):
            return timm.create_model("vit_tiny_patch16_224", num_classes=0)

    with pytest.raises(ConfigError, match=r"the encoder fixed takes no patches of 96 px: Input height") as refused:
        entry_encoder(Fixed, side=96)
    assert "--set input_side=224" in refused.value.fix


def test_bad_input_is_named(tmp_path, vgg_file):
    with pytest.raises(ConfigError, match="resnet99"):
        create_encoder("resnet99", pretrained=False, weights=None)
    with pytest.raises(ConfigError, match="no trunk"):
        create_encoder("test_resnet", part="trunk", pretrained=False, weights=None)
    with pytest.raises(ConfigError, match=r"expected n × 32"):
        create_encoder("test_resnet", pretrained=False, weights=None, side=32)(patches(1, 16))
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="other.pth"):
        create_encoder("vgg16", part="trunk", pretrained=False, weights=tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="fully connected"):
        vgg16_head(pretrained=False, weights=tmp_path / "other.pth")
    assert vgg16_head(pretrained=False, weights=None) is None


def test_weights_that_cannot_be_downloaded_are_refused_with_a_way_out(monkeypatch):
    import timm

    def unreachable(*args, **kwargs):
        raise OSError("We couldn't connect to the hub\nand more")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(WeightsError) as caught:
        create_encoder("vgg16.tv_in1k", part="trunk", pretrained=True, weights=None, side=32)
    assert "couldn't connect" in caught.value.what and "and more" not in caught.value.what
    assert "encoder_weights" in caught.value.fix and "encoder_pretrained=false" in caught.value.fix


def test_what_weights_have_seen_is_said(tmp_path):
    assert pretrained_on("vgg16", pretrained=True, weights=None) == "ImageNet-1k"
    assert "random" in pretrained_on("vgg16", pretrained=False, weights=None)
    assert "own.pth" in pretrained_on("vgg16", pretrained=True, weights=tmp_path / "own.pth")
    assert pretrained_on("some_net", pretrained=True, weights=None) == "unknown"
