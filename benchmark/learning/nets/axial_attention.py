"""Gated axial attention (Valanarasu et al., Medical Transformer, MICCAI 2021): attention along one axis at a time."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

GROUPS = 8
EXPANSION = 2
GATES = (0.1, 0.1, 0.1, 1.0)
"""Initial gates of query position, key position, value position and value (released code)."""


class AxialLayer(nn.Module):
    """Attention among the `length` positions of one axis; those of the other axis are separate sequences.

    Width w in h groups of g = w/h channels: queries q and keys k of g/2, values v of g. One table of relative
    positions, shared by the groups, gives r_q, r_k, r_v at i - j. With
    `P = softmax_j(BN(q·k) + BN(G_qr q·r_q) + BN(G_kr k·r_k))`, not divided by √d, the output is
    `BN(G_v P v) + BN(G_ve P r_v)`. Each gated map has its own BatchNorm, as in the released code, so that while
    training a gate matters next to nothing.

    `position` false: no table and no gates. `gated` false: gates are 1. `stride`: average pooling afterwards.
    """

    offsets: Tensor

    def __init__(
        self,
        width: int,
        length: int,
        axis: Literal["height", "width"],
        *,
        groups: int = GROUPS,
        gated: bool = True,
        position: bool = True,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.groups, self.per_group, self.axis, self.stride = groups, width // groups, axis, stride
        self.qkv = nn.Conv1d(width, 2 * width, 1, bias=False)
        self.norm_qkv = nn.BatchNorm1d(2 * width)
        self.norm_similarity = nn.BatchNorm2d(groups * (3 if position else 1))
        self.norm_output = nn.BatchNorm1d(width * (2 if position else 1))
        nn.init.normal_(self.qkv.weight, 0.0, width**-0.5)
        self.gates: nn.ParameterList | None = None
        self.relative: nn.Parameter | None = None
        if position:
            self.relative = nn.Parameter(torch.randn(2 * self.per_group, 2 * length - 1) * self.per_group**-0.5)
            places = torch.arange(length)
            self.register_buffer("offsets", places[:, None] - places[None, :] + length - 1, persistent=False)
        if position and gated:
            self.gates = nn.ParameterList(nn.Parameter(torch.tensor(gate), requires_grad=False) for gate in GATES)

    def forward(self, x: Tensor) -> Tensor:
        """B × w × H × W → the same, height and width divided by `stride`."""
        order = (0, 3, 1, 2) if self.axis == "height" else (0, 2, 1, 3)
        rows = x.permute(*order)
        number, others, width, length = rows.shape
        qkv = self.norm_qkv(self.qkv(rows.reshape(number * others, width, length)))
        half = self.per_group // 2
        parts = qkv.reshape(number * others, self.groups, 2 * self.per_group, length)
        q, k, v = parts.split([half, half, self.per_group], dim=2)
        mixed = self._attend(q, k, v) if self.relative is None else self._attend_by_place(q, k, v, self.relative)
        back = (0, 2, 3, 1) if self.axis == "height" else (0, 2, 1, 3)
        result = mixed.reshape(number, others, width, length).permute(*back)
        return result if self.stride == 1 else functional.avg_pool2d(result, self.stride)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        similarity = self.norm_similarity(torch.einsum("bgci,bgcj->bgij", q, k))
        mixed = torch.einsum("bgij,bgcj->bgci", similarity.softmax(dim=3), v)
        normed: Tensor = self.norm_output(mixed.flatten(1, 2))
        return normed

    def _attend_by_place(self, q: Tensor, k: Tensor, v: Tensor, relative: Tensor) -> Tensor:
        half, length = self.per_group // 2, q.shape[-1]
        r_q, r_k, r_v = relative[:, self.offsets].split([half, half, self.per_group], dim=0)  # c × i × j
        g_qr, g_kr, g_ve, g_v = (1.0, 1.0, 1.0, 1.0) if self.gates is None else self.gates
        qk = torch.einsum("bgci,bgcj->bgij", q, k)
        qr = torch.einsum("bgci,cij->bgij", q, r_q) * g_qr
        kr = torch.einsum("bgci,cij->bgij", k, r_k).transpose(2, 3) * g_kr
        maps = self.norm_similarity(torch.cat([qk, qr, kr], dim=1))
        p = maps.unflatten(1, (3, self.groups)).sum(dim=1).softmax(dim=3)
        sv = torch.einsum("bgij,bgcj->bgci", p, v) * g_v
        sve = torch.einsum("bgij,cij->bgci", p, r_v) * g_ve
        both = torch.stack([sv, sve], dim=3).reshape(q.shape[0], -1, length)  # channels in the order g, c, {sv, sve}
        normed: Tensor = self.norm_output(both).unflatten(1, (-1, 2)).sum(dim=2)
        return normed


class AxialBlock(nn.Module):
    """1 × 1 convolution to `width`, attention along height and width, 1 × 1 convolution to twice `width`, shortcut."""

    def __init__(
        self, inputs: int, width: int, length: int, *, stride: int = 1, gated: bool = True, position: bool = True
    ) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.enter = nn.Sequential(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.height = AxialLayer(width, length, "height", gated=gated, position=position)
        self.width = AxialLayer(width, length, "width", gated=gated, position=position, stride=stride)
        self.leave = nn.Sequential(nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            convolution = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """B × `inputs` × n × n → B × 2·`width` × n/stride × n/stride."""
        mixed = functional.relu(self.width(self.height(self.enter(x))))
        return functional.relu(self.leave(mixed) + self.shortcut(x))
