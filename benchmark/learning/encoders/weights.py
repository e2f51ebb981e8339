"""Weight files: read without running anything in them, and fitted with a message that names the first misfit."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.errors import WeightsError
from benchmark.learning.encoders.fitting import CLASSIFIERS, architectures_of

WRAPPERS = ("state_dict", "model", "model_state_dict")
"""Keys under which training scripts put the tensors beside other things."""
OPTIONAL = "num_batches_tracked"
"""A counter of BatchNorm that old files lack and that changes no output."""


def load_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch (`.pth`, `.pt`) or `.safetensors` file, by name, on the CPU.

    Only data is unpickled (`weights_only`). Wrappers such as `{"state_dict": …}` and the prefix `module.` are removed.
    Raises `WeightsError` when the file is missing, is no weight file, or holds anything but tensors.
    """
    if not path.is_file():
        raise WeightsError(f"weight file {path} does not exist", fix=f"check the path; what is there: ls {path.parent}")
    state = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    for key in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
            break
    if not isinstance(state, Mapping) or not state:
        raise WeightsError(f"{path} holds {_kind(state)}; expected a dict of named tensors", fix=_RESAVE)
    wrong = [f"{name!r} is {_kind(value)}" for name, value in state.items() if not isinstance(value, Tensor)]
    if wrong:
        raise WeightsError(f"{path} holds more than named tensors: {wrong[0]}", fix=_RESAVE)
    return {str(name).removeprefix("module."): value for name, value in state.items()}


_RESAVE = "save the bare weights: torch.save(model.state_dict(), 'weights.pth')"


def _pickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        text = str(error).splitlines()[0]
        problem = f"{path} is not a weight file, or holds Python objects beside tensors, which are not loaded: {text}"
        raise WeightsError(problem, fix=_RESAVE) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{path} cannot be read as a weight file: {text}", fix="download it again") from error


def _safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as a safetensors file: {error}", fix="download it again") from error


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"


def fit_state(
    module: nn.Module, state: Mapping[str, Tensor], *, origin: str | Path, unused: tuple[str, ...] = ()
) -> None:
    """Copy `state` into `module`. Every tensor of the module must be there and have its shape, and none may be left.

    Left out without complaint are the classifier of the original task (`CLASSIFIERS`) where the module has none, and
    tensors whose names begin with one of `unused`. Anything else that has no place is a part of another network, whose
    features would be lost. Raises `WeightsError` naming the first missing, misshapen or homeless tensor and, where timm
    has one, an architecture that the file fits; the module is then unchanged.
    """
    expected = module.state_dict()
    missing = [name for name in expected if name not in state and not name.endswith(OPTIONAL)]
    extra = [name for name in state if name not in expected and not name.startswith(unused)]
    homeless = [name for name in extra if not _is_classifier(name, expected)]
    for name, tensor in expected.items():
        got = state.get(name)
        if got is not None and got.shape != tensor.shape:
            problem = f"{origin}: tensor {name!r} has shape {tuple(got.shape)}, expected {tuple(tensor.shape)}"
            raise WeightsError(problem, fix=fitting(state))
    if missing:
        problem = f"{origin} lacks {len(missing)} of {len(expected)} tensors, first {missing[0]!r}"
        if extra:
            problem += f"; it has {len(extra)} others, first {extra[0]!r}"
        raise WeightsError(problem, fix=fitting(state))
    if homeless:
        problem = f"{origin} has {len(homeless)} tensors that the network has no place for, first {homeless[0]!r}"
        raise WeightsError(f"{problem}: they belong to another network", fix=fitting(state))
    module.load_state_dict({name: state.get(name, tensor) for name, tensor in expected.items()})


def _is_classifier(name: str, expected: Mapping[str, Tensor]) -> bool:
    head = next((head for head in CLASSIFIERS if name.startswith(head)), None)
    return head is not None and not any(known.startswith(head) for known in expected)


def fitting(state: Mapping[str, Tensor]) -> str:
    """The architectures of timm that the tensors of a file fit, in words."""
    names = architectures_of(state)
    return f"these weights fit {' or '.join(names)}" if names else "choose the model these weights belong to"


def freeze_batchnorm(module: nn.Module) -> None:
    """Fix every BatchNorm below `module`: affine parameters get no gradient, running statistics stay as they are.

    `module.train()` undoes the second half, so call this again after it.
    """
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
            part.requires_grad_(False)
