"""The channel transformer of UCTransNet (Wang et al., AAAI 2022): attention among channels of all levels of a U-Net."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-6
"""Of the layer norms."""


class ChannelAttention(nn.Module):
    """Channels of each level attend to those of all levels: tokens E_i, B × n × C_i, and E, B × n × ΣC → O_i as E_i.

    Per head: `P = softmax(IN(Q_iᵀ K / √ΣC))`, C_i × ΣC, with IN an instance norm without weights; `O_i` is the mean of
    `P Vᵀ` over the heads, through a linear layer. No layer has a bias.
    """

    def __init__(self, channels: Sequence[int], heads: int, dropout: float) -> None:
        super().__init__()
        self.all = sum(channels)
        self.queries = nn.ModuleList(_heads(width, heads) for width in channels)
        self.keys, self.values = _heads(self.all, heads), _heads(self.all, heads)
        self.out = nn.ModuleList(nn.Linear(width, width, bias=False) for width in channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Sequence[Tensor], every: Tensor) -> list[Tensor]:
        """See the class."""
        key, value = _per_head(self.keys, every), _per_head(self.values, every)  # B × heads × n × ΣC
        return [self._attend(e, q, key, value, o) for e, q, o in zip(tokens, self.queries, self.out, strict=True)]

    def _attend(self, tokens: Tensor, queries: nn.Module, key: Tensor, value: Tensor, out: nn.Module) -> Tensor:
        scores = _per_head(queries, tokens).transpose(2, 3) @ key / self.all**0.5  # B × heads × C_i × ΣC
        shares = self.dropout(functional.instance_norm(scores).softmax(dim=3))
        mixed = (shares @ value.transpose(2, 3)).mean(dim=1).transpose(1, 2)
        result: Tensor = self.dropout(out(mixed))
        return result


class TransformerLayer(nn.Module):
    """Layer norm and channel attention, layer norm and a two-layer perceptron per level, each with a residual."""

    def __init__(self, channels: Sequence[int], heads: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.ModuleList(nn.LayerNorm(width, eps=EPS) for width in channels)
        self.norm_all = nn.LayerNorm(sum(channels), eps=EPS)
        self.attention = ChannelAttention(channels, heads, dropout)
        self.norm_mlp = nn.ModuleList(nn.LayerNorm(width, eps=EPS) for width in channels)
        self.mlp = nn.ModuleList(_perceptron(width, expansion) for width in channels)

    def forward(self, tokens: Sequence[Tensor]) -> list[Tensor]:
        """B × n × C_i of every level → the same."""
        every = self.norm_all(torch.cat(list(tokens), dim=2))
        normed = [norm(e) for norm, e in zip(self.norm_attention, tokens, strict=True)]
        mixed = [e + o for e, o in zip(tokens, self.attention(normed, every), strict=True)]
        parts = zip(mixed, self.norm_mlp, self.mlp, strict=True)
        return [e + mlp(norm(e)) for e, norm, mlp in parts]


class ChannelTransformer(nn.Module):
    """Maps of the levels at stride 1, 2, 4, 8 → the same, each with what the transformer found added.

    Level i is cut into patches of 16, 8, 4, 2 pixels, so that all have (side/16)² tokens. `side`: of the image, which
    the learned tables of positions are made for.
    """

    def __init__(
        self,
        side: int,
        channels: Sequence[int],
        *,
        layers: int = 4,
        heads: int = 4,
        expansion: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.patches = [16 // 2**level for level in range(len(channels))]
        self.embed = nn.ModuleList(nn.Conv2d(c, c, p, p) for c, p in zip(channels, self.patches, strict=True))
        self.positions = nn.ParameterList(nn.Parameter(torch.zeros(1, (side // 16) ** 2, c)) for c in channels)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(TransformerLayer(channels, heads, expansion, dropout) for _ in range(layers))
        self.norm = nn.ModuleList(nn.LayerNorm(c, eps=EPS) for c in channels)
        self.reconstruct = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, c, 1), nn.BatchNorm2d(c), nn.ReLU(inplace=True)) for c in channels
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """See the class."""
        grids = [embed(x) for embed, x in zip(self.embed, maps, strict=True)]
        tokens = [
            self.dropout(grid.flatten(2).transpose(1, 2) + place)
            for grid, place in zip(grids, self.positions, strict=True)
        ]
        for layer in self.layers:
            tokens = layer(tokens)
        result = []
        parts = zip(maps, grids, tokens, self.norm, self.reconstruct, self.patches, strict=True)
        for x, grid, token, norm, reconstruct, patch in parts:
            coarse = norm(token).transpose(1, 2).reshape(grid.shape)
            result.append(x + reconstruct(functional.interpolate(coarse, scale_factor=patch, mode="nearest")))
        return result


def _heads(width: int, heads: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(heads))


def _per_head(heads: nn.Module, tokens: Tensor) -> Tensor:
    """B × n × C → B × heads × n × C."""
    return torch.stack([head(tokens) for head in heads.children()], dim=1)


def _perceptron(width: int, expansion: int) -> nn.Sequential:
    layers = nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width)
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)
    return nn.Sequential(*layers)
