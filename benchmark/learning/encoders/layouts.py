"""Weights whose names or parts differ from timm's: transformers' DINOv2, old Swin files, CTransPath's stem, CONCH."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

_DINO = (
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.mask_token$", "mask_token"),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.(\d+)\.attention\.(?:output\.dense|o_proj)\.", r"blocks.\1.attn.proj."),
    (r"^encoder\.layer\.(\d+)\.layer_scale([12])\.lambda1$", r"blocks.\1.ls\2.gamma"),
    (r"^encoder\.layer\.(\d+)\.(norm[12]|mlp)\.", r"blocks.\1.\2."),
    (r"^layernorm\.", "norm."),
)
_QUERY = re.compile(r"^encoder\.layer\.(\d+)\.attention\.(?:attention\.)?(q|k|v)(?:uery|ey|alue|_proj)\.(weight|bias)$")


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of transformers' `Dinov2Model` (with or without registers) under timm's names.

    Query, key and value are one matrix in timm. With registers timm adds positions to the patches alone, so the
    position of the class token goes into the class token.
    """
    if "cls_token" in state:  # timm's own layout
        return dict(state)
    state = {name.removeprefix("model.").removeprefix("dinov2."): tensor for name, tensor in state.items()}
    parts: dict[tuple[str, str], dict[str, Tensor]] = {}
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if match := _QUERY.match(name):
            parts.setdefault((match[1], match[3]), {})[match[2]] = tensor
            continue
        for pattern, replacement in _DINO:
            changed = re.sub(pattern, replacement, name)
            if changed != name:
                name = changed
                break
        renamed[name] = tensor
    for (layer, kind), tensors in parts.items():
        renamed[f"blocks.{layer}.attn.qkv.{kind}"] = torch.cat([tensors[part] for part in "qkv"])
    positions = renamed.pop("embeddings.position_embeddings", None)
    if positions is not None and "reg_token" in renamed:
        renamed["cls_token"] = renamed["cls_token"] + positions[:, :1]
        positions = positions[:, 1:]
    if positions is not None:
        renamed["pos_embed"] = positions
    return renamed


def from_old_swin(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A Swin file of timm before 0.9: a stage's downsampling stood at its end, masks and indices were stored."""
    renamed = {}
    for name, tensor in state.items():
        if name.endswith(("attn_mask", "relative_position_index")):
            continue  # computed, not learnt
        match = re.match(r"layers\.(\d+)\.downsample\.(.*)", name)
        renamed[f"layers.{int(match[1]) + 1}.downsample.{match[2]}" if match else name] = tensor
    return renamed


class ConvStem(nn.Module):
    """CTransPath's patch embedding: two strided 3 × 3 convolutions and a 1 × 1 projection.

    n × 3 × s × s → n × (s/4) × (s/4) × d. Wang et al., Medical Image Analysis 2022, Section 3.3.
    """

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 4,
        in_chans: int = 3,
        embed_dim: int = 96,
        norm_layer: Any = None,
        **unused: Any,
    ) -> None:
        super().__init__()
        if patch_size != 4 or embed_dim % 8:
            raise ValueError(f"the stem makes patches of 4 px and needs a width that 8 divides, got {embed_dim}")
        size = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.img_size, self.patch_size = size, (patch_size, patch_size)
        self.grid_size = (size[0] // patch_size, size[1] // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        layers: list[nn.Module] = []
        inputs, outputs = in_chans, embed_dim // 8
        for _ in range(2):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outputs)]
            layers.append(nn.ReLU(inplace=True))
            inputs, outputs = outputs, outputs * 2
        layers.append(nn.Conv2d(inputs, embed_dim, 1))
        self.proj = nn.Sequential(*layers)
        self.norm = norm_layer(embed_dim) if norm_layer else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings, channels last."""
        embedded: Tensor = self.norm(self.proj(images).permute(0, 2, 3, 1))
        return embedded


class AttentionalPooling(nn.Module):
    """A transformer whose patch tokens are pooled by attention of one learnt query (CONCH, as in CoCa): n × `width`."""

    def __init__(self, trunk: nn.Module, *, queries: int, width: int, heads: int = 8) -> None:
        super().__init__()
        inside = int(trunk.num_features)  # type: ignore[arg-type]
        self.trunk = trunk
        self.query = nn.Parameter(torch.zeros(queries, width))
        self.attn = nn.MultiheadAttention(width, heads, kdim=inside, vdim=inside, batch_first=True)
        self.ln_q, self.ln_k = nn.LayerNorm(width), nn.LayerNorm(inside)
        self.ln_contrast = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> Tensor:
        """Features before the projection into the space of captions."""
        tokens = self.ln_k(self.trunk(images))
        query = self.ln_q(self.query).unsqueeze(0).expand(len(images), -1, -1)
        pooled = self.attn(query, tokens, tokens, need_weights=False)[0]
        features: Tensor = self.ln_contrast(pooled)[:, 0]
        return features


def from_conch(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CONCH's file as `AttentionalPooling` has it; the text tower keeps its names, nothing uses it."""
    renamed = {}
    for name, tensor in state.items():
        name = name.removeprefix("visual.").removeprefix("attn_pool_contrast.")
        renamed[name] = tensor
    return renamed
