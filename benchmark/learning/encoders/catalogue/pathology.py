"""Encoders trained on histology slides. Transforms, widths and layouts are those of their model cards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from benchmark.encoder import EncoderCard
from benchmark.learning.encoders import layouts
from benchmark.learning.encoders.sources import ByHand, Repository
from benchmark.learning.encoders.timm_encoder import TimmEncoder

_SWIGLU: Mapping[str, Any] = {"mlp_layer": "timm.layers:SwiGLUPacked", "act_layer": "torch.nn:SiLU"}
_OPTIMUS_MEAN, _OPTIMUS_STD = (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)
_HIBOU_MEAN, _HIBOU_STD = (0.7068, 0.5755, 0.722), (0.195, 0.2316, 0.1816)


class Uni(TimmEncoder):
    """UNI: ViT-L/16, DINOv2 on 100 million patches of Mass-100K."""

    name = "uni"
    card: ClassVar[EncoderCard] = EncoderCard(
        "UNI, ViT-L/16",
        seen="Mass-100K: slides of two Boston hospitals and GTEx; no TCGA, no CAMELYON named",
        licence="CC BY-NC-ND 4.0, gated",
        citation="Chen et al.: Towards a general-purpose foundation model for computational pathology, Nat Med 2024",
        homepage="https://huggingface.co/MahmoodLab/UNI",
        mpp=0.5,
    )
    source = Repository("MahmoodLab/UNI", gated=True)
    architecture = "vit_large_patch16_224"
    options: ClassVar[Mapping[str, Any]] = {"img_size": 224, "init_values": 1e-5, "dynamic_img_size": True}
    side, width = 224, 1024


class Uni2h(TimmEncoder):
    """UNI2-h: ViT-H/14 with registers, DINOv2 on 200 million patches, immunohistochemistry included."""

    name = "uni2-h"
    card: ClassVar[EncoderCard] = EncoderCard(
        "UNI2-h, ViT-H/14",
        seen="slides of Mass General Brigham, H&E and immunohistochemistry",
        licence="CC BY-NC-ND 4.0, gated",
        citation="Chen et al.: Towards a general-purpose foundation model for computational pathology, Nat Med 2024",
        homepage="https://huggingface.co/MahmoodLab/UNI2-h",
        mpp=0.5,
    )
    source = Repository("MahmoodLab/UNI2-h", gated=True)
    architecture = "vit_giant_patch14_224"
    options: ClassVar[Mapping[str, Any]] = {
        **_SWIGLU,
        "img_size": 224,
        "patch_size": 14,
        "depth": 24,
        "num_heads": 24,
        "init_values": 1e-5,
        "embed_dim": 1536,
        "mlp_ratio": 2.66667 * 2,
        "no_embed_class": True,
        "reg_tokens": 8,
        "dynamic_img_size": True,
    }
    side, width = 224, 1536


class Virchow(TimmEncoder):
    """Virchow: ViT-H/14, DINOv2 on 1.5 million slides; class token beside the mean of the patch tokens."""

    name = "virchow"
    card: ClassVar[EncoderCard] = EncoderCard(
        "Virchow, ViT-H/14",
        seen="slides of Memorial Sloan Kettering Cancer Center",
        licence="Apache-2.0, gated",
        citation="Vorontsov et al.: A foundation model for clinical-grade computational pathology, Nat Med 2024",
        homepage="https://huggingface.co/paige-ai/Virchow",
        mpp=0.5,
    )
    source = Repository("paige-ai/Virchow", gated=True)
    architecture = "vit_huge_patch14_224"
    options: ClassVar[Mapping[str, Any]] = {
        **_SWIGLU,
        "img_size": 224,
        "init_values": 1e-5,
        "mlp_ratio": 5.3375,
        "global_pool": "",
        "dynamic_img_size": True,
    }
    tokens = "class+mean"
    side, width = 224, 2560


class Virchow2(TimmEncoder):
    """Virchow2: ViT-H/14 with four registers, DINOv2 on 3.1 million slides."""

    name = "virchow2"
    card: ClassVar[EncoderCard] = EncoderCard(
        "Virchow2, ViT-H/14",
        seen="slides of Memorial Sloan Kettering Cancer Center and its partners, 5× to 40×",
        licence="CC BY-NC-ND 4.0, gated",
        citation="Zimmermann et al.: Virchow2: Scaling Self-Supervised Mixed Magnification Models in Pathology, 2024",
        homepage="https://huggingface.co/paige-ai/Virchow2",
        mpp=0.5,
    )
    source = Repository("paige-ai/Virchow2", gated=True)
    architecture = "vit_huge_patch14_224"
    options: ClassVar[Mapping[str, Any]] = {**Virchow.options, "reg_tokens": 4}
    tokens = "class+mean"
    side, width = 224, 2560


class ProvGigapath(TimmEncoder):
    """Prov-GigaPath's tile encoder: ViT-g/16, DINOv2 on 1.3 billion tiles."""

    name = "prov-gigapath"
    card: ClassVar[EncoderCard] = EncoderCard(
        "Prov-GigaPath, ViT-g/16 (tiles)",
        seen="Prov-Path: slides of Providence",
        licence="Apache-2.0 for research, gated",
        citation="Xu et al.: A whole-slide foundation model for digital pathology from real-world data, Nature 2024",
        homepage="https://huggingface.co/prov-gigapath/prov-gigapath",
        mpp=0.5,
        notes="Its card resizes 256-px tiles and crops 224 px; here the patch is brought to 224 px whole.",
    )
    source = Repository("prov-gigapath/prov-gigapath", files=("pytorch_model.bin",), gated=True)
    architecture = "vit_giant_patch14_dinov2"
    options: ClassVar[Mapping[str, Any]] = {
        "img_size": 224,
        "patch_size": 16,
        "embed_dim": 1536,
        "depth": 40,
        "num_heads": 24,
        "init_values": 1e-5,
        "mlp_ratio": 5.33334,
        "dynamic_img_size": True,
    }
    side, width = 224, 1536


class HOptimus0(TimmEncoder):
    """H-optimus-0: ViT-g/14 with registers, on 500 000 slides."""

    name = "h-optimus-0"
    card: ClassVar[EncoderCard] = EncoderCard(
        "H-optimus-0, ViT-g/14",
        seen="500 000 H&E slides of a proprietary collection",
        licence="Apache-2.0",
        citation="Saillard et al.: H-optimus-0, Bioptimus 2024",
        homepage="https://huggingface.co/bioptimus/H-optimus-0",
        mpp=0.5,
    )
    source = Repository("bioptimus/H-optimus-0", gated=True)
    architecture = "vit_giant_patch14_reg4_dinov2"
    options: ClassVar[Mapping[str, Any]] = {"img_size": 224, "init_values": 1e-5, "global_pool": "token"}
    side, width = 224, 1536
    mean, std = _OPTIMUS_MEAN, _OPTIMUS_STD


class HOptimus1(TimmEncoder):
    """H-optimus-1: ViT-g/14 with registers, on one million slides."""

    name = "h-optimus-1"
    card: ClassVar[EncoderCard] = EncoderCard(
        "H-optimus-1, ViT-g/14",
        seen="one million H&E slides of a proprietary collection",
        licence="CC BY-NC-ND 4.0, gated",
        citation="H-optimus-1, Bioptimus 2025",
        homepage="https://huggingface.co/bioptimus/H-optimus-1",
        mpp=0.5,
    )
    source = Repository("bioptimus/H-optimus-1", gated=True)
    architecture = "vit_giant_patch14_reg4_dinov2"
    options: ClassVar[Mapping[str, Any]] = HOptimus0.options
    side, width = 224, 1536
    mean, std = _OPTIMUS_MEAN, _OPTIMUS_STD


class PhikonV2(TimmEncoder):
    """Phikon-v2: ViT-L/16, DINOv2 on public slides."""

    name = "phikon-v2"
    card: ClassVar[EncoderCard] = EncoderCard(
        "Phikon-v2, ViT-L/16",
        seen="PANCAN-XL: TCGA, GTEx, CPTAC and other public cohorts",
        licence="Owkin non-commercial licence",
        citation="Filiot et al.: Phikon-v2, a large and public feature extractor for biomarker prediction, 2024",
        homepage="https://huggingface.co/owkin/phikon-v2",
        mpp=0.5,
    )
    source = Repository("owkin/phikon-v2")
    architecture = "vit_large_patch16_224"
    options: ClassVar[Mapping[str, Any]] = {"img_size": 224, "init_values": 1.0, "dynamic_img_size": True}
    unused = ("mask_token",)
    side, width = 224, 1024

    @classmethod
    def translate(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `layouts.from_transformers`."""
        return layouts.from_transformers(state)


class HibouB(TimmEncoder):
    """Hibou-B: ViT-B/14 with registers, DINOv2 on 1.1 million slides."""

    name = "hibou-b"
    card: ClassVar[EncoderCard] = EncoderCard(
        "Hibou-B, ViT-B/14",
        seen="1.1 million slides of a proprietary collection of HistAI",
        licence="Apache-2.0",
        citation="Nechaev et al.: Hibou: A Family of Foundational Vision Transformers for Pathology, 2024",
        homepage="https://huggingface.co/histai/hibou-b",
        mpp=0.5,
    )
    source = Repository("histai/hibou-b", gated=True)
    architecture = "vit_base_patch14_reg4_dinov2"
    options: ClassVar[Mapping[str, Any]] = {"img_size": 224, "init_values": 1.0, "dynamic_img_size": True}
    unused = ("mask_token",)
    side, width = 224, 768
    mean, std = _HIBOU_MEAN, _HIBOU_STD

    @classmethod
    def translate(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `layouts.from_transformers`."""
        return layouts.from_transformers(state)


class HibouL(TimmEncoder):
    """Hibou-L: ViT-L/14 with registers."""

    name = "hibou-l"
    card: ClassVar[EncoderCard] = EncoderCard(
        "Hibou-L, ViT-L/14",
        seen="1.1 million slides of a proprietary collection of HistAI",
        licence="Apache-2.0, gated",
        citation=HibouB.card.citation,
        homepage="https://huggingface.co/histai/hibou-L",
        mpp=0.5,
    )
    source = Repository("histai/hibou-L", gated=True)
    architecture = "vit_large_patch14_reg4_dinov2"
    options: ClassVar[Mapping[str, Any]] = {"img_size": 224, "init_values": 1.0, "dynamic_img_size": True}
    unused = ("mask_token",)
    side, width = 224, 1024
    mean, std = _HIBOU_MEAN, _HIBOU_STD

    @classmethod
    def translate(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `layouts.from_transformers`."""
        return layouts.from_transformers(state)


class LunitDino(TimmEncoder):
    """Lunit's DINO ViT-S/16, trained on TCGA and TULIP."""

    name = "lunit-dino-s16"
    card: ClassVar[EncoderCard] = EncoderCard(
        "Lunit DINO, ViT-S/16",
        seen="TCGA and TULIP, 20× and 40×",
        licence="non-commercial, see its page",
        citation="Kang et al.: Benchmarking Self-Supervised Learning on Diverse Pathology Datasets, CVPR 2023",
        homepage="https://huggingface.co/1aurent/vit_small_patch16_224.lunit_dino",
        mpp=0.5,
    )
    source = Repository("1aurent/vit_small_patch16_224.lunit_dino")
    architecture = "vit_small_patch16_224"
    options: ClassVar[Mapping[str, Any]] = {"img_size": 224, "dynamic_img_size": True}
    side, width = 224, 384
    mean, std = (0.70322989, 0.53606487, 0.66096631), (0.21716536, 0.26081574, 0.20723464)


class Ctranspath(TimmEncoder):
    """CTransPath: Swin-T behind a convolutional stem, contrastive training on TCGA and PAIP."""

    name = "ctranspath"
    card: ClassVar[EncoderCard] = EncoderCard(
        "CTransPath, Swin-T with convolutional stem",
        seen="TCGA and PAIP",
        licence="GPL-3.0",
        citation="Wang et al.: Transformer-based unsupervised contrastive learning for histopathological image"
        " classification, Medical Image Analysis 2022",
        homepage="https://github.com/Xiyue-Wang/TransPath",
        mpp=0.5,
    )
    source = ByHand("https://github.com/Xiyue-Wang/TransPath (ctranspath.pth)")
    architecture = "swin_tiny_patch4_window7_224"
    options: ClassVar[Mapping[str, Any]] = {"embed_layer": "benchmark.learning.encoders.layouts:ConvStem"}
    side, width = 224, 768

    @classmethod
    def translate(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `layouts.from_old_swin`."""
        return layouts.from_old_swin(state)


class Conch(TimmEncoder):
    """CONCH's image tower: ViT-B/16 with attentional pooling, trained with captions."""

    name = "conch"
    card: ClassVar[EncoderCard] = EncoderCard(
        "CONCH, image tower (ViT-B/16)",
        seen="1.17 million image–caption pairs of the literature and a proprietary collection; no TCGA named",
        licence="CC BY-NC-ND 4.0, gated",
        citation="Lu et al.: A visual-language foundation model for computational pathology, Nat Med 2024",
        homepage="https://huggingface.co/MahmoodLab/CONCH",
        mpp=0.5,
        notes="Features before the projection into the space of captions, as its card advises for images alone.",
    )
    source = Repository("MahmoodLab/CONCH", files=("pytorch_model.bin",), gated=True)
    architecture = "vit_base_patch16_224"
    options: ClassVar[Mapping[str, Any]] = {"img_size": 448, "global_pool": "", "dynamic_img_size": True}
    unused = ("text.", "text_decoder.", "logit_scale", "proj_contrast", "attn_pool_caption.", "ln_caption.")
    side, width = 448, 512
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

    @classmethod
    def network(cls, side: int) -> Any:
        """The trunk with its attentional pooling."""
        return layouts.AttentionalPooling(super().network(side), queries=1, width=cls.width)

    @classmethod
    def translate(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `layouts.from_conch`."""
        return layouts.from_conch(state)
