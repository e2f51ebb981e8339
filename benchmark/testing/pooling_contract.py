"""What every pooling of multiple-instance learning must keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.config import resolve
from benchmark.errors import DataError
from benchmark.learning.mil.mil_losses import bag_loss
from benchmark.learning.mil.pooling import Pooled, Pooling
from benchmark.registry import methods
from benchmark.testing.datasets import Contract

DIM, FEW, MANY = 24, 37, 50_000
TOLERANCE, GPU_TOLERANCE = 1e-5, 1e-3


class PoolingContract(Contract):
    """Subclass it and set `name` to a method with a `pooling(dim)`, or override the fixture `pooling`."""

    @pytest.fixture
    def pooling(self, component: str) -> Pooling:
        """An untrained pooling for features of `DIM` numbers, in evaluation mode: that of the method's preset smoke."""
        kind = methods().load(component)
        torch.manual_seed(0)
        built: Pooling = kind(resolve(kind, "smoke")).pooling(DIM)  # type: ignore[attr-defined]
        return built.eval()

    def test_the_order_of_instances_does_not_matter(self, pooling: Pooling) -> None:
        features, numbers = bag(FEW)
        order = torch.from_numpy(np.random.default_rng(1).permutation(FEW))
        answer, permuted = pooling(features, numbers), pooling(features[order], numbers[order])
        same(answer.logit, permuted.logit)
        same(answer.instance_logits[order], permuted.instance_logits)
        if answer.attention is not None and permuted.attention is not None:
            same(answer.attention[order], permuted.attention)

    def test_padding_does_not_matter(self, pooling: Pooling) -> None:
        """Wherever it lies and whatever it holds, numbers or none."""
        features, numbers = bag(FEW)
        places = torch.from_numpy(np.sort(np.random.default_rng(2).permutation(FEW + 9)[:FEW]))
        mask = torch.zeros(FEW + 9, dtype=torch.bool)
        mask[places] = True
        padded = torch.full((FEW + 9, DIM), torch.nan)
        padded[places] = features
        spread = torch.full((FEW + 9,), -1)
        spread[places] = numbers
        answer, with_padding = pooling(features, numbers), pooling(padded, spread, mask)
        same(answer.logit, with_padding.logit)
        same(answer.instance_logits, with_padding.instance_logits[places])
        assert bool((with_padding.instance_logits[~mask] == -torch.inf).all())
        if answer.attention is not None and with_padding.attention is not None:
            same(answer.attention, with_padding.attention[places])
            assert not with_padding.attention[~mask].any()

    @pytest.mark.parametrize("size", [1, 2, 3, MANY])
    def test_bags_of_any_size_are_pooled(self, pooling: Pooling, size: int) -> None:
        answer = pooling(*bag(size))
        assert answer.logit.ndim == 0 and torch.isfinite(answer.logit)
        assert answer.instance_logits.shape == (size,) and bool(torch.isfinite(answer.instance_logits).all())
        if answer.attention is not None:
            assert answer.attention.shape == (size,)
            assert bool((answer.attention >= 0).all())
            same(answer.attention.sum(), torch.ones(()), GPU_TOLERANCE)

    @pytest.mark.parametrize("size", [1, MANY])
    @pytest.mark.parametrize("label", [0, 1])
    def test_its_losses_have_gradients(self, pooling: Pooling, size: int, label: int) -> None:
        pooling.train()
        answer = pooling(*bag(size))
        own = pooling.own_loss(answer, label)
        (bag_loss(answer.logit, label) + (0 if own is None else own)).backward()
        gradients = [weight.grad for weight in pooling.parameters() if weight.grad is not None]
        assert gradients and all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
        assert any(bool(gradient.any()) for gradient in gradients)

    def test_one_pass_gives_the_bits_of_another(self, pooling: Pooling) -> None:
        first, second = (pooling(*bag(FEW)) for _ in range(2))
        assert torch.equal(first.logit, second.logit) and torch.equal(first.instance_logits, second.instance_logits)

    def test_a_gpu_gives_the_same(self, pooling: Pooling) -> None:
        if not torch.cuda.is_available():
            pytest.skip("there is no CUDA device")
        features, numbers = bag(FEW)
        here: Pooled = pooling(features, numbers)
        there: Pooled = pooling.to("cuda")(features.cuda(), numbers.cuda())
        same(here.logit, there.logit.cpu(), GPU_TOLERANCE)
        same(here.instance_logits, there.instance_logits.cpu(), GPU_TOLERANCE)

    def test_an_empty_bag_and_another_width_are_refused(self, pooling: Pooling) -> None:
        with pytest.raises(DataError, match="empty bag"):
            pooling(torch.zeros(0, DIM))
        with pytest.raises(DataError, match=rf"\(3, {DIM + 1}\).*width {DIM}"):
            pooling(torch.zeros(3, DIM + 1))


def bag(size: int) -> tuple[Tensor, Tensor]:
    """Features size × DIM of noise, and ascending numbers of cells with gaps."""
    rng = np.random.default_rng(size)
    return torch.from_numpy(rng.normal(size=(size, DIM)).astype(np.float32)), torch.arange(size) * 3 + 5


def same(left: Tensor, right: Tensor, tolerance: float = TOLERANCE) -> None:
    """Fail unless two tensors agree up to the order of sums."""
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)
