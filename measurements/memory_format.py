"""What the memory format channels last saves on this machine: CPU seconds of a training step and of a forward pass.

    OMP_NUM_THREADS=1 python measurements/memory_format.py [--encoder imagenet-lite0 …] [--batch 8] [--side 160]

Feature maps of encoders with random weights; both formats in turn, the best of some passes each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmark.learning.encoders.timm_nets import encoder_of

NAMES = ("imagenet-lite0", "mobilenetv3_small_050", "resnet10t", "dla34")


def seconds(work: Callable[[], object], passes: int) -> float:
    """CPU seconds of the fastest pass, after one that is not counted."""
    work()
    taken = []
    for _ in range(passes):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def step(net: nn.Module, images: torch.Tensor) -> None:
    """Forward and backward through all maps."""
    net.zero_grad()
    sum(values.square().mean() for values in net(images)).backward()  # type: ignore[union-attr]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", nargs="+", default=NAMES)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--passes", type=int, default=5)
    options = parser.parse_args()
    images = torch.rand(options.batch, 3, options.side, options.side)
    print(f"{'encoder':<24}{'pass':<10}{'first':>8}{'last':>8}{'times':>8}")
    for name in options.encoder:
        torch.manual_seed(0)
        net = encoder_of(name, pretrained=False, weights=None, maps=True)
        found: dict[str, list[float]] = {"forward": [], "step": []}
        for form in (torch.contiguous_format, torch.channels_last):
            net.to(memory_format=form)  # type: ignore[call-overload]
            with torch.inference_mode():
                found["forward"].append(seconds(lambda net=net: net.eval()(images), options.passes))  # type: ignore[misc]
            found["step"].append(seconds(lambda net=net: step(net.train(), images), options.passes))  # type: ignore[misc]
        for work, (first, last) in found.items():
            print(f"{name:<24}{work:<10}{first:>8.3f}{last:>8.3f}{first / last:>7.2f}×")


if __name__ == "__main__":
    main()
