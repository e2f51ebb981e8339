"""The focal loss of LC-MIL: γ depends on how sure the net is (Mukhoti et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Focal:
    """L = -(1 - p_t)^γ ln p_t with p_t = P for a positive bag and 1 - P for a negative one.

    `gamma` for all, or none: `low` where the probability is below `limit`, else `high`. `by` names that
    probability: the true class's as in the released code, or the positive class's as the paper writes (L6; both agree
    for positive bags). γ is a constant for the gradient. P is clamped to [clamp, 1 - clamp]; beyond, no gradient flows.
    """

    gamma: float | None = None
    low: float = 5.0
    high: float = 3.0
    limit: float = 0.2
    by: Literal["true-class", "positive"] = "true-class"
    clamp: float = 1e-5

    def __call__(self, probability: Tensor, positive: bool) -> Tensor:
        """Element by element, the shape of `probability`."""
        kept = probability.clamp(self.clamp, 1 - self.clamp)
        true = kept if positive else 1 - kept
        loss: Tensor = -((1 - true) ** self.exponent(kept, true)) * torch.log(true)
        return loss

    def exponent(self, probability: Tensor, true: Tensor) -> Tensor:
        """γ of each element."""
        if self.gamma is not None:
            return torch.full_like(true, self.gamma)
        decides = (true if self.by == "true-class" else probability).detach()
        return torch.where(decides < self.limit, self.low, self.high).to(true.dtype)

    @classmethod
    def of(cls, params: object) -> Focal:
        """As LC-MIL's parameters say."""
        names = {"low": "gamma_low", "high": "gamma_high", "limit": "gamma_limit", "by": "gamma_by"}
        values = {field: getattr(params, name) for field, name in names.items()}
        return cls(gamma=getattr(params, "gamma"), clamp=getattr(params, "clamp"), **values)  # noqa: B009
