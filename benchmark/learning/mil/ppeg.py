"""Pyramid position encoding of TransMIL (Shao et al., NeurIPS 2021), with a backward pass that a CPU does well."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

KERNEL = 7
BLOCK = 2**19
"""Products that are summed at once, few enough to stay in a core's cache."""


class Ppeg(nn.Module):
    """Pyramid position encoding: the tokens' square plus its depth-wise convolutions of 7, 5 and 3 cells."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width, width, size, padding=size // 2, groups=width) for size in (KERNEL, 5, 3)
        )

    def forward(self, tokens: Tensor, side: int) -> Tensor:
        """Tokens (1 + side²) × width → the same shape; the class token passes unchanged."""
        square = tokens[1:].view(1, side, side, -1).permute(0, 3, 1, 2)  # channels last: a fifth of the time on a CPU
        layers: list[nn.Conv2d] = list(self.convolutions)  # type: ignore[arg-type]
        kernels = [functional.pad(layer.weight, [(KERNEL - layer.kernel_size[0]) // 2] * 4) for layer in layers]
        kernel = torch.stack(kernels).sum(dim=0)
        bias = torch.stack([layer.bias for layer in layers if layer.bias is not None]).sum(dim=0)
        # One convolution with the sum of the kernels, and 1 at its centre for the square itself, is the sum of all.
        centre = torch.zeros_like(kernel)
        centre[:, :, KERNEL // 2, KERNEL // 2] = 1
        mixed = _DepthWise.apply(square, kernel + centre, bias)
        return torch.cat([tokens[:1], mixed.permute(0, 2, 3, 1).reshape(side * side, -1)])


class _DepthWise(torch.autograd.Function):
    """A depth-wise convolution that keeps the size; on a CPU its kernel's gradient takes a quarter of oneDNN's time."""

    @staticmethod
    def forward(ctx: Any, square: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(square, kernel)
        return functional.conv2d(square, kernel, bias, padding=KERNEL // 2, groups=len(kernel))

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        gradient, (square, kernel) = outer[0], ctx.saved_tensors
        before = of_kernel = bias = None
        if ctx.needs_input_grad[0]:
            before = functional.conv2d(gradient, kernel.flip(2, 3), padding=KERNEL // 2, groups=len(kernel))
        if ctx.needs_input_grad[1]:
            of_kernel = _kernel_gradient(square[0], gradient[0])
        if ctx.needs_input_grad[2]:
            bias = gradient.sum(dim=(0, 2, 3))
        return before, of_kernel, bias


def _kernel_gradient(square: Tensor, gradient: Tensor) -> Tensor:
    """Of width × side × side both: width × 1 × 7 × 7, each the sum of products at one shift."""
    across = gradient.permute(1, 2, 0)  # side × side × width, without a copy
    padded = functional.pad(square.permute(1, 2, 0), (0, 0, *[KERNEL // 2] * 4))
    side, _, width = across.shape
    rows = side if across.is_cuda else max(1, BLOCK // (side * width))
    sums = padded.new_zeros(KERNEL, KERNEL, width)
    for top in range(0, side, rows):
        part = across[top : top + rows]
        product = torch.empty_like(part, memory_format=torch.contiguous_format)
        for down in range(KERNEL):
            for right in range(KERNEL):
                window = padded[top + down : top + down + len(part), right : right + side]
                sums[down, right] += torch.mul(part, window, out=product).sum(dim=(0, 1))
    return sums.permute(2, 0, 1)[:, None]
