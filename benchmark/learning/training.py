"""The training loop of all methods: schedule, precision, prefetched batches, checkpoints that resume exactly."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.errors import ConfigError

if TYPE_CHECKING:
    from benchmark.context import Context

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Training(Generic[Batch]):
    """One training as `train_steps` runs it.

    `batch(step, rng)` makes the data of one step from nothing but its arguments; it may be called in a thread
    and ahead of time, so it must not touch PyTorch's random state. `loss(batch)` is the scalar to minimise; it
    moves the data to the device itself. `rate(step)` is the learning rate; a parameter group may
    scale it by its own `lr_scale`. The caller puts the model into the mode it wants (frozen norms stay frozen).
    """

    name: str
    """Axis of the seeds and prefix of the logged names, usually the stage."""
    steps: int
    batch: Callable[[int, np.random.Generator], Batch]
    loss: Callable[[Batch], Tensor]
    rate: Callable[[int], float]
    log_every: int = 10
    save_every: int = 200
    validate: Callable[[], float] | None = None
    """A validation loss; when given, the weights with the lowest one are kept instead of the last."""
    validate_every: int = 200
    patience: int | None = None
    """Validations without a lower loss after which training ends; None: never."""
    begin: Callable[[int], None] | None = None
    """Called before each step with its number, to set what the model trains."""
    half: bool = False
    """Half precision on a GPU, as `autocast` has it; where a method asks for it, never of itself."""


def poly_rate(step: int, steps: int, base: float, minimum: float = 0.0, power: float = 0.9) -> float:
    """Polynomial decay `(base - minimum)(1 - step/steps)^power + minimum` (OEEM, code: power 0.9, floor 1e-4)."""
    left = max(0.0, 1.0 - step / steps)
    return float((base - minimum) * left**power + minimum)


def dropping_rate(step: int, steps: int, base: float) -> float:
    """`base`, a tenth of it after 40 % of the steps, a hundredth after 80 % (HAMIL's released code)."""
    return float(base * 0.1 ** sum(step >= share * steps for share in (0.4, 0.8)))


def one_cycle_rate(step: int, steps: int, peak: float) -> float:
    """Up to `peak` over 30 % of the steps, then down to next to nothing, along cosines (PyTorch's OneCycleLR)."""
    first, last = peak / 25, peak / 25 / 1e4
    top, end = 0.3 * steps - 1, steps - 1
    if step <= top:
        low, high, share = first, peak, step / top if top > 0 else 1.0
    else:
        low, high, share = peak, last, min(1.0, (step - top) / (end - top))
    return float(high + (low - high) / 2 * (1 + math.cos(math.pi * share)))


def restarting_rate(epoch: int, epochs: int, base: float, minimum: float) -> float:
    """Down from `base` to `minimum` along a cosine over `epochs` epochs, then anew (PyTorch's warm restarts)."""
    return float(minimum + (base - minimum) * (1 + math.cos(math.pi * (epoch % epochs) / epochs)) / 2)


def seed_torch(context: Context, *axes: str | int) -> None:
    """Seed PyTorch's own generators (initial weights, dropout) from the run's seed and these axes."""
    torch.manual_seed(context.seed_for(*axes))


def place(model: nn.Module, device: str) -> None:
    """Move a model to the device, its weights in the memory format channels last, which what flows through takes on.

    It suits mixed precision on a GPU, and most convolutions of a CPU (measurements/memory_format.py).
    """
    model.to(torch.device(device)).to(memory_format=torch.channels_last)


def _half(device: str) -> torch.dtype | None:
    if not device.startswith("cuda"):
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def autocast(device: str, half: bool = False) -> AbstractContextManager[Any]:
    """Full precision; with `half` mixed precision on CUDA (bfloat16, else float16), and full precision elsewhere.

    Scores that are ranked or reported want full precision: bfloat16 keeps three digits, and near ones become ties.
    """
    kind = _half(device) if half else None
    return nullcontext() if kind is None else torch.autocast("cuda", dtype=kind)


def train_steps(
    model: nn.Module, optimiser: torch.optim.Optimizer, training: Training[Batch], context: Context
) -> None:
    """Run a training in place, from its last checkpoint if there is one.

    Each step draws its data from `context.generator(name, step)` and re-seeds PyTorch for itself, so a training
    that was killed and resumed ends with the same bits as one that ran through. The mean loss since the last
    report is logged as `<name>/loss`. Raises `ConfigError` when the loss is no longer a finite number.
    """
    device = context.device
    scaler = torch.amp.GradScaler("cuda", enabled=training.half and _half(device) is torch.float16)
    running = torch.zeros((), device=device)
    start = counted = 0
    best: dict[str, Any] = {}
    saved = context.checkpoint.load()
    if saved is not None:
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        scaler.load_state_dict(saved["scaler"])
        start, counted = int(saved["step"]), int(saved["counted"])
        running += float(saved["running"])
        best.update(saved["best"])
    batches = _batches(training, start, context)
    for step in context.track(range(start, training.steps), f"training: {training.name}", training.steps - start):
        data = next(batches)
        if training.begin is not None:
            training.begin(step)
        seed_torch(context, training.name, step)
        rate = training.rate(step)
        for group in optimiser.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        with autocast(device, training.half):
            loss = training.loss(data)
        optimiser.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
        running += loss.detach()
        counted += 1
        if counted >= training.log_every or step + 1 == training.steps:
            _report(training.name, running.item() / counted, rate, step, context)
            running.zero_()
            counted = 0
        if training.validate and ((step + 1) % training.validate_every == 0 or step + 1 == training.steps):
            _keep_best(best, training.validate(), training.name, step, model, context)
            if training.patience is not None and step - best["step"] >= training.patience * training.validate_every:
                break
        if (step + 1) % training.save_every == 0 and step + 1 < training.steps:
            context.checkpoint.save(
                {
                    "step": step + 1,
                    "counted": counted,
                    "running": running.item(),
                    "model": model.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "scaler": scaler.state_dict(),
                    "best": best,
                }
            )
    if best:
        model.load_state_dict(best["model"])


def _keep_best(best: dict[str, Any], loss: float, name: str, step: int, model: nn.Module, context: Context) -> None:
    """Keep the weights when the validation loss is the lowest so far; the earlier step wins a tie."""
    context.log(f"{name}/validation_loss", loss, step)
    if not best or loss < best["loss"]:
        weights = {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
        best.update({"loss": loss, "step": step, "model": weights})


def _report(name: str, loss: float, rate: float, step: int, context: Context) -> None:
    if not math.isfinite(loss):
        raise ConfigError(f"{name}: the loss became {loss} at step {step}", fix="lower the learning rate")
    context.log(f"{name}/loss", loss, step)
    context.log(f"{name}/lr", rate, step)


def _batches(training: Training[Batch], start: int, context: Context) -> Iterator[Batch]:
    """The batches in order; with a GPU, threads prepare them ahead."""

    def make(step: int) -> Batch:
        return training.batch(step, context.generator(training.name, step))

    if not context.device.startswith("cuda"):
        yield from map(make, range(start, training.steps))
        return
    workers = max(1, min(8, os.cpu_count() or 1))
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[Batch]] = deque()
    try:
        for step in range(start, training.steps):
            waiting.append(pool.submit(make, step))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
