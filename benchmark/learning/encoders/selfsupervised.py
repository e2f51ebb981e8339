"""An encoder that learns from patches alone: two views of a patch must be alike, and unlike all other patches.

SimCLR (Chen et al., ICML 2020) with augmentations that suit stained tissue: any orientation, crops, blur, and colour
changes small enough that the stain of a nucleus stays a nucleus's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import ConfigError
from benchmark.learning.encoders.frozen import IMAGENET_MEAN, IMAGENET_STD, FrozenEncoder
from benchmark.learning.encoders.patch_file import PatchFile
from benchmark.learning.training import Training, autocast, place, seed_torch, train_steps

if TYPE_CHECKING:
    from benchmark.context import Context

PROJECTION = 128
"""Units of the projection in which views are compared (SimCLR, Section 4.2)."""
ZOOM = (0.45, 1.0)
"""Area of a crop as a share of the patch."""
JITTER = 0.3
"""Brightness, contrast and saturation change by a factor of 1 ± this, each channel by 1 ± a third of it."""
BLUR = 1.0
"""Largest standard deviation, in px, of the Gaussian that every second view on average is blurred with."""
TAPS = 2
"""Neighbours on each side that the Gaussian reaches."""
WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""


def pretrain(
    patches: PatchFile,
    context: Context,
    *,
    architecture: str,
    side: int,
    steps: int,
    batch: int = 128,
    lr: float = 1e-3,
    temperature: float = 0.2,
    name: str = "self-supervised",
    pretrained: bool = False,
    weights: Path | None = None,
    readers: int | None = None,
) -> dict[str, Tensor]:
    """Train an encoder on `patches` (of s ≥ side px) and return its weights; call it inside a stage.

    Patches are read step by step, by `readers` threads: memory holds one batch, whatever their number.

    `architecture` is an entry of the catalogue or a timm model; `pretrained` or `weights` start from its weights.
    AdamW with warm-up and cosine decay; NT-Xent at `temperature` (SimCLR, Eq. 1) over `batch` patches seen twice.
    Resumes bit for bit. Raises `ConfigError` for fewer than two patches, or patches smaller than `side`.
    """
    if len(patches) < 2:
        raise ConfigError(f"self-supervised training needs at least 2 patches, got {len(patches)}")
    if patches.side < side:
        raise ConfigError(f"the patches have {patches.side} px, the encoder wants at least {side}")
    batch = min(batch, len(patches))
    seed_torch(context, name, "weights")
    start = build(architecture, side=side, pretrained=pretrained, weights=weights)
    encoder, dim = start.module, start.dim
    head = nn.Sequential(nn.Linear(dim, dim), nn.BatchNorm1d(dim), nn.ReLU(), nn.Linear(dim, PROJECTION, bias=False))
    model = nn.Sequential(encoder, head)
    place(model, context.device)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=1e-4)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (start.mean, start.std))

    def views(step: int, rng: np.random.Generator) -> Tensor:
        numbers = np.sort(rng.choice(len(patches), batch, replace=False))
        chosen = torch.from_numpy(patches.take(numbers, readers=readers))
        images = chosen.permute(0, 3, 1, 2).float() / 255
        return (torch.cat([augmented(images, side, rng) for _ in range(2)]) - mean) / std

    def loss(both: Tensor) -> Tensor:
        with autocast(context.device):
            projected = model(both.to(context.device))
        return nt_xent(projected.float(), temperature)

    def rate(step: int) -> float:
        warm = max(1, round(WARM_UP * steps))
        if step < warm:
            return lr * (step + 1) / warm
        return float(lr * 0.5 * (1 + np.cos(np.pi * (step - warm) / max(1, steps - warm))))

    log_every, save_every = max(1, steps // 20), max(1, steps // 10)
    training = Training(name, steps, views, loss, rate, log_every=log_every, save_every=save_every)
    train_steps(model, optimiser, training, context)
    return {key: value.detach().cpu() for key, value in encoder.state_dict().items()}


@dataclass(frozen=True)
class Start:
    """A network to train: images n × 3 × s × s, normalised by `mean` and `std` → n × `dim`."""

    module: nn.Module
    dim: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def build(architecture: str, *, side: int, pretrained: bool = False, weights: Path | None = None) -> Start:
    """A network without classifier: an entry of the catalogue or a timm model; random weights unless told otherwise.

    Raises `ConfigError` for an unknown name, `WeightsError` when weights cannot be loaded or do not fit.
    """
    from benchmark.learning.encoders.encoder_names import catalogue_entry
    from benchmark.learning.encoders.timm_encoder import TimmEncoder
    from benchmark.learning.encoders.timm_nets import create_net

    entry = catalogue_entry(architecture)
    if entry is None:
        fix = "--set encoder_weights=FILE, or start at random: --set encoder_pretrained=false"
        model = create_net(architecture, pretrained=pretrained, weights=weights, fix=fix, num_classes=0)
        return Start(model, int(model.num_features))  # type: ignore[arg-type]
    bare = issubclass(entry, TimmEncoder) and not pretrained and weights is None
    module = entry.bare(side) if bare and issubclass(entry, TimmEncoder) else entry.build(side=side, weights=weights)
    return Start(module, entry.width, entry.mean, entry.std)


def frozen(architecture: str, state: dict[str, Tensor], *, side: int, device: str) -> FrozenEncoder:
    """The frozen encoder with the weights that `pretrain` returned."""
    start = build(architecture, side=side)
    start.module.load_state_dict(state)
    return FrozenEncoder(
        start.module,
        name=f"{architecture}:self-supervised",
        dim=start.dim,
        side=side,
        device=device,
        mean=start.mean,
        std=start.std,
    )


def nt_xent(projected: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding a patch's other view among all others by cosine similarity (SimCLR, Eq. 1).

    `projected`: 2n × d, first views, then second views in the same order.
    """
    unit = functional.normalize(projected, dim=1)
    likeness = unit @ unit.T / temperature
    likeness = likeness.masked_fill(torch.eye(len(unit), dtype=torch.bool, device=unit.device), float("-inf"))
    half = len(unit) // 2
    partner = torch.arange(len(unit), device=unit.device).roll(half)
    return functional.cross_entropy(likeness, partner)


def augmented(images: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """A random view of each image (n × 3 × s × s in [0, 1]) at side × side: crop, orientation, blur, colour."""
    number = len(images)
    zoom = np.sqrt(rng.uniform(*ZOOM, number))
    free = 1 - zoom
    shift = rng.uniform(-1, 1, (number, 2)) * free[:, None]
    turn = rng.integers(4, size=number) * (np.pi / 2)
    mirror = rng.choice([-1.0, 1.0], number)
    theta = np.empty((number, 2, 3))
    theta[:, 0] = np.stack([zoom * np.cos(turn) * mirror, -zoom * np.sin(turn), shift[:, 0]], axis=1)
    theta[:, 1] = np.stack([zoom * np.sin(turn) * mirror, zoom * np.cos(turn), shift[:, 1]], axis=1)
    grid = functional.affine_grid(torch.from_numpy(theta).float(), [number, 3, side, side], align_corners=False)
    views = functional.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return _recoloured(_blurred(views, rng), rng)


def _blurred(views: Tensor, rng: np.random.Generator) -> Tensor:
    sigma = rng.uniform(0.1, BLUR, len(views))
    chosen = torch.from_numpy(rng.random(len(views)) < 0.5)
    offsets = np.arange(-TAPS, TAPS + 1)
    weights = np.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    shares = (
        torch.from_numpy(weights / weights.sum(axis=1, keepdims=True)).float()[chosen].view(-1, 2 * TAPS + 1, 1, 1, 1)
    )
    blurred = views[chosen]
    for axis, padding in ((3, (TAPS, TAPS, 0, 0)), (2, (0, 0, TAPS, TAPS))):
        size, wide = blurred.shape[axis], functional.pad(blurred, padding, mode="replicate")
        blurred = torch.zeros_like(blurred)
        for tap in range(2 * TAPS + 1):
            blurred += shares[:, tap] * wide.narrow(axis, tap, size)
    views[chosen] = blurred
    return views


def _recoloured(views: Tensor, rng: np.random.Generator) -> Tensor:
    number = len(views)

    def factor(spread: float, channels: int = 1) -> Tensor:
        drawn = rng.uniform(1 - spread, 1 + spread, (number, channels, 1, 1))
        return torch.from_numpy(drawn).float()

    views = views * factor(JITTER) * factor(JITTER / 3, 3)
    centre = views.mean(dim=(1, 2, 3), keepdim=True)
    views = (views - centre) * factor(JITTER) + centre
    grey = views.mean(dim=1, keepdim=True)
    return ((views - grey) * factor(JITTER) + grey).clamp(0, 1)
