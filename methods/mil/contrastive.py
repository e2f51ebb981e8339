"""The supervised contrastive loss of ItS2CLR and HNM, with pair modes and masking.

ItS2CLR: Liu et al., CVPR 2023, Section 3; HNM: Huang et al., MICCAI 2024; their released code.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Pairs = Literal["all", "positive", "negative"]
"""Which instances attract each other: those of equal label, or of these only the positive or only the negative ones."""
EPSILON = 1e-10
"""Added to the sum inside the logarithm when instances are masked, as released."""


def supervised_contrastive(
    projected: Tensor,
    labels: Tensor,
    bags: Tensor,
    *,
    pairs: Pairs,
    temperature: float,
    base_temperature: float = 0.07,
    masked: bool = False,
) -> Tensor:
    """Mean over all 2B anchors of `anchor_losses`, those without a partner counting as 0: a scalar.

    A share of partnerless anchors therefore lowers the loss in proportion, and with it the effective learning rate.
    """
    return anchor_losses(
        projected,
        labels,
        bags,
        pairs=pairs,
        temperature=temperature,
        base_temperature=base_temperature,
        masked=masked,
    ).mean()


def anchor_losses(
    projected: Tensor,
    labels: Tensor,
    bags: Tensor,
    *,
    pairs: Pairs,
    temperature: float,
    base_temperature: float = 0.07,
    masked: bool = False,
) -> Tensor:
    """Loss of every anchor, 2B.

    `projected`: 2B × d unit vectors, the first views of B instances, then their second views in the same order.
    `labels`, `bags`: B, the label (0 or 1) of each instance and of its bag.

    For anchor a: `-(τ/τ₀) · mean over c in P(a) of [S_ac - ln Σ_{d in D(a)} exp S_ad]` with S = u_a · u_c / τ. D(a) is
    all but a itself and, with `masked`, but instances of label 0 in bags of label 1, of which nobody knows what they
    are; P(a) those of D(a) with the label of a, as far as `pairs` allows. Without any, the loss is 0.

    The largest S of a row is subtracted before the exponential (the released code overflows below τ = 0.0113).
    """
    labels, bags = labels.repeat(2), bags.repeat(2)
    alike = projected @ projected.T / temperature
    allowed = ~torch.eye(len(labels), dtype=torch.bool, device=projected.device)
    if masked:
        allowed = allowed & ~((bags == 1) & (labels == 0))[None, :]
    partners = allowed & (labels[:, None] == labels[None, :])
    if pairs != "all":
        partners = partners & (labels == int(pairs == "positive"))[:, None]
    number = partners.sum(dim=1)
    active = number > 0
    rows, targets = alike[active], partners[active]
    total = torch.logsumexp(rows.masked_fill(~allowed[active], -math.inf), dim=1)
    if masked:
        total = torch.logaddexp(total, torch.full_like(total, math.log(EPSILON)))
    mean = rows.masked_fill(~targets, 0.0).sum(dim=1) / number[active]
    losses = projected.new_zeros(len(labels))
    losses[active] = (temperature / base_temperature) * (total - mean)
    return losses
