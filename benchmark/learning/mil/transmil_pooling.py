"""TransMIL (Shao et al., NeurIPS 2021): a transformer with Nyström attention and position by convolution (PPEG)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.learning.mil.pooling import Pooled, Pooling
from benchmark.learning.mil.ppeg import Ppeg

PINV_STEPS = 6
RESIDUAL_KERNEL = 33


class TransmilPooling(Pooling):
    """A class token over the squared sequence of instances. Order matters, so they are put in that of `numbers`.

    Of the last layer only the class token's row is computed: nothing else reaches the bag's logit. Attention is that
    row, mean over heads, in evaluation mode only: what the token gives itself is left out, what Nyström's approximation
    makes negative is 0, and the rest sums to 1. An instance's logit is the classifier's answer to its token before the
    last layer.
    """

    def __init__(self, dim: int, width: int = 512, heads: int = 8, landmarks: int = 256, dropout: float = 0.1) -> None:
        super().__init__(dim)
        self.embedding = nn.Sequential(nn.Linear(dim, width), nn.ReLU())
        self.token = nn.Parameter(torch.randn(1, width))
        self.first = TransLayer(width, heads, landmarks, dropout)
        self.position = Ppeg(width)
        self.second = TransLayer(width, heads, landmarks, dropout)
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, 2)

    def pool(self, features: Tensor, numbers: Tensor | None) -> Pooled:
        """Squared sequence, layer, PPEG, layer, class token (Algorithm 2 of the paper)."""
        n = len(features)
        order = torch.arange(n, device=features.device) if numbers is None else torch.argsort(numbers, stable=True)
        side = math.ceil(math.sqrt(n))
        wrapped = torch.cat([order, order[: side * side - n]])
        tokens = torch.cat([self.token, self.embedding(features)[wrapped]])
        tokens = self.position(self.first(tokens), side)
        attention = None
        if not self.training:
            weights = self.second.class_attention(tokens)[1:].clamp(min=0) + torch.finfo(tokens.dtype).tiny
            attention = weights.new_zeros(n).index_put((wrapped,), weights / weights.sum(), accumulate=True)
        summary = self.classifier(self.norm(self.second.class_token(tokens)))
        logits = self.classifier(self.norm(tokens[1 : n + 1]))
        instances = torch.empty_like(logits[:, 1]).index_put((order,), logits[:, 1] - logits[:, 0])
        return Pooled(summary[1] - summary[0], instances, attention)


class TransLayer(nn.Module):
    """Pre-norm Nyström self-attention with a skip connection: tokens n × width → the same shape."""

    def __init__(self, width: int, heads: int, landmarks: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = NystromAttention(width, heads, landmarks, dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens + attention(norm(tokens))."""
        mixed: Tensor = tokens + self.attention(self.norm(tokens))
        return mixed

    def class_token(self, tokens: Tensor) -> Tensor:
        """The first row of `forward`, at less than half its cost: width."""
        mixed: Tensor = tokens[0] + self.attention.first(self.norm(tokens))
        return mixed

    @torch.no_grad()
    def class_attention(self, tokens: Tensor) -> Tensor:
        """How the first token attends to all n, mean over heads: n."""
        return self.attention.row(self.norm(tokens))


class NystromAttention(nn.Module):
    """Self-attention through m landmarks, O(n): softmax(Q K̃ᵀ) pinv(softmax(Q̃ K̃ᵀ)) softmax(Q̃ Kᵀ) V (Xiong et al. 2021).

    Landmarks are means of segments of equal length, the last one shorter; there are as many as tokens where these are
    fewer than m. The pseudo-inverse takes six steps of an iteration. A convolution over the sequence is added to the
    values, as in the reference implementation.
    """

    def __init__(self, width: int, heads: int, landmarks: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.landmarks = heads, landmarks
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout))
        self.residual = nn.Parameter(torch.empty(heads, RESIDUAL_KERNEL))
        nn.init.uniform_(self.residual, -(RESIDUAL_KERNEL**-0.5), RESIDUAL_KERNEL**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens n × width → n × width."""
        # one projection after the other: their gradients need not lie side by side
        query, key, value = (self._heads(functional.linear(tokens, part)) for part in self.qkv.weight.chunk(3))
        queries, keys = self._landmarks(tokens)
        summary = self._summary(queries, keys, key, value)
        mixed = _attend(query, keys, summary) + self._convolved(value)
        attended: Tensor = self.output(mixed.transpose(0, 1).flatten(1))
        return attended

    def first(self, tokens: Tensor) -> Tensor:
        """The first row of `forward`: width."""
        query, key, value = self._first(tokens)
        queries, keys = self._landmarks(tokens)
        mixed = _attend(query, keys, self._summary(queries, keys, key, value))
        # values of its own for the convolution: the gradient of a slice would be as large as all of them
        near = self._heads(functional.linear(tokens[: RESIDUAL_KERNEL // 2 + 1], self.qkv.weight.chunk(3)[2]))
        mixed = mixed + self._convolved(near)[:, :1]
        attended: Tensor = self.output(mixed.flatten())
        return attended

    def row(self, tokens: Tensor) -> Tensor:
        """The first row of the attention matrix, mean over heads: n."""
        query, key, _ = self._first(tokens)
        queries, keys = self._landmarks(tokens)
        scale = _scale(query)
        inverse = pseudo_inverse(torch.softmax(scale * queries @ keys.transpose(1, 2), dim=-1))
        weights = torch.softmax(scale * query @ keys.transpose(1, 2), dim=-1) @ inverse
        total = tokens.new_zeros(len(tokens))
        for head in range(self.heads):  # one at a time: m × n numbers each
            total += (weights[head] @ torch.softmax(scale * queries[head] @ key[head].T, dim=-1)).squeeze(0)
        return total / self.heads

    def _first(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The first token's query, all keys and all values."""
        parts = zip((tokens[:1], tokens, tokens), self.qkv.weight.chunk(3), strict=True)
        query, key, value = (self._heads(functional.linear(*part)) for part in parts)
        return query, key, value

    def _heads(self, values: Tensor) -> Tensor:
        """Values n × width → heads × n × width of a head."""
        return values.view(len(values), self.heads, -1).transpose(0, 1)

    def _summary(self, queries: Tensor, keys: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """What the landmarks hold: pinv(softmax(Q̃ K̃ᵀ)) softmax(Q̃ Kᵀ) V, heads × m × d."""
        landmarks = torch.softmax(_scale(queries) * queries @ keys.transpose(1, 2), dim=-1)
        inverse: Tensor = _PseudoInverse.apply(landmarks)
        return inverse @ _attend(queries, key, value)

    def _landmarks(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys of the segments, heads × m × d each: those of their mean tokens, which is the same."""
        n, width = tokens.shape
        length = math.ceil(n / self.landmarks)
        square = tokens.view(1, n, 1, width).permute(0, 3, 1, 2)
        means = functional.avg_pool2d(
            square, (length, 1), ceil_mode=True, count_include_pad=False
        )  # the last may be short
        flat = means.permute(0, 2, 3, 1).reshape(-1, width)
        of_query, of_key, _ = self.qkv.weight.chunk(3)
        return self._heads(functional.linear(flat, of_query)), self._heads(functional.linear(flat, of_key))

    def _convolved(self, value: Tensor) -> Tensor:
        """Each head's values convolved along the sequence with the head's own kernel."""
        kernel = self.residual.view(self.heads, 1, RESIDUAL_KERNEL, 1)
        convolved = functional.conv2d(value[None], kernel, padding=(RESIDUAL_KERNEL // 2, 0), groups=self.heads)
        return convolved[0]


def pseudo_inverse(matrix: Tensor) -> Tensor:
    """Moore-Penrose inverse of heads × m × m by six steps of a third-order iteration (Xiong et al. 2021, Eq. 11)."""
    largest = matrix.abs().sum(dim=-1).max() * matrix.abs().sum(dim=-2).max()
    inverse = matrix.transpose(1, 2) / largest
    eye = torch.eye(matrix.shape[-1], device=matrix.device, dtype=matrix.dtype)
    for _ in range(PINV_STEPS):
        product = matrix @ inverse
        inverse = 0.25 * inverse @ (13 * eye - product @ (15 * eye - product @ (7 * eye - product)))
    return inverse


class _PseudoInverse(torch.autograd.Function):
    """`pseudo_inverse`, its steps done again in the backward pass: kept, they would hold as much as 20 000 tokens."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        ctx.save_for_backward(matrix)
        return pseudo_inverse(matrix)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Tensor:
        matrix = ctx.saved_tensors[0].detach().requires_grad_()
        with torch.enable_grad():
            inverse = pseudo_inverse(matrix)
        inner: Tensor = torch.autograd.grad(inverse, matrix, outer[0])[0]
        return inner


def _scale(query: Tensor) -> float:
    """1/√width of a head."""
    return float(query.shape[-1] ** -0.5)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(Q Kᵀ/√d) V, heads × n × d, on a CPU without holding the n × m matrix."""
    if query.is_cuda:  # the fused kernels of a GPU do not repeat their gradients bit for bit
        return torch.softmax(_scale(query) * query @ key.transpose(1, 2), dim=-1) @ value
    attended = functional.scaled_dot_product_attention(query[None], key[None], value[None])
    return attended[0]
