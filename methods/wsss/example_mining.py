"""Losses that mine examples: OEEM's, which trusts what the net already agrees with (paper §2.3), and OHEM's, its rival.

Notation: logits X (B × K × H × W), pseudo-labels Y (B × H × W in {0..K-1, 255 = ignored}), p = softmax_k X, and
per pixel the loss `l = -log p_Y`, 0 where ignored. The loss is `mean(W · l)`; W is a constant for back-propagation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from benchmark.learning.augment import IGNORE
from benchmark.learning.losses import mean_over_labelled, pixel_cross_entropy


@dataclass(frozen=True)
class Weighting:
    """OEEM's weight map, and the readings on which paper and released code leave a choice.

    `none`: W = 1. `c_max`: max_k p. `c_diff`: max_k p - min_k p. `l_norm`: exp(-l) over its mean, that is
    p_Y / mean(p_Y). `lc_mix`: l_norm · c_max. (Eq. 4-7.)

    `scope`: the domain of the mean in l_norm, one image (Eq. 6 and code) or the mini-batch (introduction), D4.
    `count_padding`: let ignored pixels take part in it with l = 0, and count in the mean of the loss, as the
    released code does; otherwise they are left out of both, D6. `normalise`: divide c_max, c_diff and lc_mix by
    their mean over the scope, D18. The numbers D… are those of docs/methods/oeem.md.
    """

    map: Literal["none", "c_max", "c_diff", "l_norm", "lc_mix"] = "l_norm"
    scope: Literal["image", "batch"] = "image"
    count_padding: bool = False
    normalise: bool = False


def single_class(labels: Tensor, classes: int) -> Tensor:
    """Per image (B): does the crop hold at most one class? Then its weights are 1 (Eq. 8). Stays on the device."""
    present = torch.stack([(labels == k).flatten(1).any(dim=1) for k in range(classes)])
    return present.sum(dim=0) <= 1


@torch.no_grad()
def weight_map(logits: Tensor, losses: Tensor, labels: Tensor, how: Weighting) -> Tensor:
    """W of every pixel, float32 B × H × W, detached.

    `losses` are those of `pixel_cross_entropy`. With `how.scope` "batch" the single-class images are in the mean too,
    before their own weights become 1. Ignored pixels get 0, unless they take part in the softmax.
    """
    if how.map == "none":
        return torch.ones_like(losses)
    valid = labels != IGNORE
    domain = torch.ones_like(valid) if how.count_padding else valid
    weights = torch.ones_like(losses)
    if how.map in ("l_norm", "lc_mix"):
        weights = _easiness(losses, domain, how.scope)
    if how.map in ("c_max", "c_diff", "lc_mix"):
        p = logits.float().softmax(dim=1)
        weights = weights * (p.amax(dim=1) - p.amin(dim=1) if how.map == "c_diff" else p.amax(dim=1))
        if how.normalise:
            weights = weights / _mean(weights, domain, how.scope)
    single = single_class(labels, logits.shape[1])
    weights = torch.where(single[:, None, None], torch.ones_like(weights), weights)
    return weights * domain


def weighted_loss(logits: Tensor, labels: Tensor, how: Weighting) -> Tensor:
    """`mean(W · l)` over all pixels that are not ignored (over all pixels with `how.count_padding`), a scalar.

    Equation 3 prints a sum; the mean is the released code's (D5). `logits` have the size of `labels`.
    """
    losses = pixel_cross_entropy(logits, labels)
    weighted = weight_map(logits.detach(), losses.detach(), labels, how) * losses
    return weighted.sum() / losses.numel() if how.count_padding else mean_over_labelled(weighted, labels)


def hard_pixel_loss(
    logits: Tensor, labels: Tensor, threshold: float | None, kept: int, *, count_padding: bool = False
) -> Tensor:
    """OHEM: `mean(W · l)` over all pixels that are not ignored, with W = 1 for `hard_pixels`, 0 for the others.

    With `count_padding` ignored pixels count in the mean.
    """
    losses = pixel_cross_entropy(logits, labels)
    hard = hard_pixels(torch.exp(-losses.detach()), labels != IGNORE, threshold, kept)
    weighted = hard.to(losses.dtype) * losses
    return weighted.mean() if count_padding else mean_over_labelled(weighted, labels)


def hard_pixels(agreed: Tensor, valid: Tensor, threshold: float | None, kept: int) -> Tensor:
    """Which pixels (B × H × W, bool) have a loss in online hard example mining.

    `agreed` is p_Y. Of the n valid pixels of the batch, sorted by ascending p_Y, those below
    max(threshold, sorted[min(kept · B, n - 1)]) are kept, strictly. Without a threshold: the kept · B hardest ones.
    With the usual kept = 100 000 and 256-px crops that is every pixel but the most confident one, hence the default.
    """
    values = agreed[valid]
    wanted = kept * agreed.shape[0]
    if values.numel() == 0 or (threshold is None and wanted >= values.numel()):
        return valid
    if threshold is None:
        hard = torch.zeros_like(values, dtype=torch.bool)
        hard[values.argsort(stable=True)[:wanted]] = True
        chosen = torch.zeros_like(valid)
        chosen[valid] = hard
        return chosen
    raised = values.sort().values[min(wanted, values.numel() - 1)]
    return valid & (agreed < raised.clamp_min(threshold))


def _easiness(losses: Tensor, domain: Tensor, scope: Literal["image", "batch"]) -> Tensor:
    """`exp(-l)`, that is p_Y, over its mean. By logarithms, for exp(-l) is 0 in float32 where a loss exceeds 104."""
    axes = (1, 2) if scope == "image" else (0, 1, 2)
    number = domain.sum(dim=axes, keepdim=True)
    logarithm = torch.where(domain, -losses, -torch.inf).logsumexp(dim=axes, keepdim=True) - number.clamp_min(1).log()
    return torch.exp(torch.where(domain & (number > 0), -losses - logarithm, -torch.inf))


def _mean(values: Tensor, domain: Tensor, scope: Literal["image", "batch"]) -> Tensor:
    axes = (1, 2) if scope == "image" else (0, 1, 2)
    number = domain.sum(dim=axes, keepdim=True).clamp_min(1)
    mean = (values * domain).sum(dim=axes, keepdim=True) / number
    return mean.clamp_min(torch.finfo(values.dtype).tiny)
