"""Frozen encoders by name: patches in, one row of features each out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.encoder import Encoder
from benchmark.errors import ConfigError, WeightsError
from benchmark.learning.encoders.encoder_names import catalogue_entry
from benchmark.learning.encoders.timm_encoder import TimmEncoder
from benchmark.learning.encoders.timm_nets import check_name, refused
from benchmark.learning.encoders.weights import fit_state, load_state
from benchmark.seeds import seed_of
from benchmark.slides.strips import Interpolation

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Part = Literal["trunk", "pooled"]
Precision = Literal["float32", "float16"]

PRETRAINED_ON: Mapping[str, str] = {
    "vgg": "ImageNet-1k",
    "resnet": "ImageNet-1k",
    "dla": "ImageNet-1k",
    "densenet": "ImageNet-1k",
    "inception_resnet": "ImageNet-1k",
    "xception": "ImageNet-1k",
    "vit": "ImageNet-21k or another large set: see the model's card",
}
"""Training data of the downloadable weights, by family of encoders; for all others it is unknown."""


def pretrained_on(name: str, *, pretrained: bool, weights: Path | None) -> str:
    """The data an encoder's weights were trained on, in words, so that a leak into a test set can be judged."""
    entry = catalogue_entry(name)
    if entry is not None and weights is not None:
        return f"{entry.card.seen}, if the local file {weights.name} holds its weights"
    if entry is not None and pretrained:
        return entry.card.seen
    if weights is not None:
        return f"unknown: the local file {weights.name}"
    if not pretrained:
        return "nothing: random weights"
    return next((data for family, data in PRETRAINED_ON.items() if name.startswith(family)), "unknown")


def seen_by(name: str, *, pretrained: bool, weights: Path | None) -> str:
    """`NAME: DATA`, as `Method.encoders` answers."""
    return f"{name}: {pretrained_on(name, pretrained=pretrained, weights=weights)}"


class FrozenEncoder:
    """A network in evaluation mode that nothing trains: uint8 patches n × side × side × 3 → float32 n × dim.

    `digest` covers architecture, part, weights, transform, precision and `arithmetic`: equal digests give equal
    features for equal patches.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        name: str,
        dim: int,
        side: int,
        device: str,
        precision: Precision = "float32",
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        interpolation: Interpolation = "bilinear",
    ) -> None:
        self.name, self.dim, self.side, self.precision = name, dim, side, precision
        self.interpolation = interpolation
        self.device = torch.device(device)
        facts = f"{name}|{dim}|{side}|{precision}|{mean}|{std}|{arithmetic(self.device)}|"
        if interpolation != "bilinear":
            facts += f"{interpolation}|"
        self.digest = hashlib.sha256(facts.encode() + weights_digest(module)).hexdigest()[:16]
        self.mean, self.std = tuple(mean), tuple(std)
        self._module = module.to(self.device).eval().requires_grad_(False)
        self._mean = torch.tensor(mean, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=self.device).view(1, 3, 1, 1)

    @property
    def module(self) -> nn.Module:
        """The network, frozen: normalised images n × 3 × side × side → n × dim."""
        return self._module

    def __call__(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Features of some patches. Raises `ConfigError` when they have another side."""
        if pixels.ndim != 4 or pixels.shape[1:] != (self.side, self.side, 3):
            expected = f"n × {self.side} × {self.side} × 3"
            raise ConfigError(f"the encoder {self.name} was given patches of shape {pixels.shape}, expected {expected}")
        self._module.eval()
        with torch.inference_mode():
            images = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device).permute(0, 3, 1, 2)
            features: Tensor = self._module((images.float() / 255 - self._mean) / self._std)
        return features.float()


def create_encoder(
    name: str,
    *,
    part: Part = "pooled",
    pretrained: bool,
    weights: Path | None,
    side: int = 224,
    precision: Precision = "float32",
    device: str = "cpu",
    seed: int = 0,
) -> FrozenEncoder:
    """The frozen encoder `name`, a timm model.

    `part`: "trunk" is the convolutions of a VGG, max-pooled and flattened as its first fully connected layer takes them
    (512 · (side/32)²; 25 088 at 224 px); "pooled" is any model without its classifier. `weights`, a local file (of
    timm or torchvision), wins over `pretrained`, which downloads timm's; with neither, weights are drawn by `seed`.

    An entry of the catalogue brings its own weights and transform; `pretrained` false draws the weights alone anew.

    Raises `ConfigError` for a name that neither the catalogue nor timm has, or an entry that has no network without
    weights; `WeightsError` when weights cannot be loaded or do not fit.
    """
    entry = catalogue_entry(name)
    if entry is not None and (pretrained or weights is not None):
        return entry_encoder(entry, side=side, weights=weights, precision=precision, device=device)
    if entry is not None:
        if not issubclass(entry, TimmEncoder):
            raise ConfigError(f"the encoder {name} has no network without weights", fix="--set encoder_pretrained=true")
        with _seeded(entry.architecture, seed):
            module = entry.bare(side)
        return _of_entry(entry, module, side=side, precision=precision, device=device)
    model = _model(name, pretrained=pretrained and weights is None, side=side, part=part, seed=seed)
    if part == "trunk":
        trunk: nn.Module = model.features  # type: ignore[assignment]
        if weights is not None:
            state = {key: value for key, value in load_state(weights).items() if key.startswith("features.")}
            fit_state(trunk, _cut(state, "features."), origin=weights)
        module = nn.Sequential(trunk, nn.Flatten())
    else:
        if weights is not None:
            fit_state(model, load_state(weights), origin=weights)
        module = nn.Sequential(model)
    dim = _dim(module, side, name)
    transform: Mapping[str, Any] = getattr(model, "pretrained_cfg", {}) or {}
    return FrozenEncoder(
        module,
        name=f"{name}:{part}",
        dim=dim,
        side=side,
        device=device,
        precision=precision,
        mean=tuple(transform.get("mean", IMAGENET_MEAN)),
        std=tuple(transform.get("std", IMAGENET_STD)),
    )


def entry_encoder(
    entry: type[Encoder],
    *,
    side: int | None = None,
    weights: Path | None = None,
    precision: Precision = "float32",
    device: str = "cpu",
) -> FrozenEncoder:
    """An entry of the catalogue, frozen, for patches of `side` px (default: the entry's own).

    Raises `WeightsError` when its weights cannot be loaded, `ConfigError` when its features have another width than it
    says.
    """
    side = side or entry.side
    module = entry.build(side=side, weights=weights)
    return _of_entry(entry, module, side=side, precision=precision, device=device)


def _of_entry(entry: type[Encoder], module: object, *, side: int, precision: Precision, device: str) -> FrozenEncoder:
    """A network of an entry with the transform that the entry states. Raises as `entry_encoder` does."""
    if not isinstance(module, nn.Module):
        what = f"the encoder {entry.name} built a {type(module).__name__}, expected a torch.nn.Module"
        raise ConfigError(what, fix="report it to its author; benchmark.testing.EncoderContract shows it")
    width = _dim(module, side, entry.name)
    if width != entry.width:
        raise ConfigError(f"the encoder {entry.name} says it gives {entry.width} features per patch and gives {width}")
    return FrozenEncoder(
        module,
        name=entry.name,
        dim=width,
        side=side,
        device=device,
        precision=precision,
        mean=entry.mean,
        std=entry.std,
        interpolation=entry.interpolation,
    )


def wrap_encoder(module: nn.Module, *, name: str, dim: int, side: int, device: str) -> FrozenEncoder:
    """Any network (images n × 3 × side × side, normalised as ImageNet's → n × dim) as a frozen encoder."""
    return FrozenEncoder(module, name=name, dim=dim, side=side, device=device)


def vgg16_head(*, pretrained: bool, weights: Path | None) -> tuple[Tensor, ...] | None:
    """Weight and bias of VGG16's FC6, FC7 and FC8, as matrices over the flattened trunk; None without weights.

    Raises `WeightsError` when the file lacks them or they cannot be downloaded.
    """
    if weights is not None:
        state = load_state(weights)
    elif pretrained:
        state = _model("vgg16", pretrained=True, side=224, part="trunk", seed=0, classes=1000).state_dict()
    else:
        return None
    layouts = (
        ("classifier.0", "classifier.3", "classifier.6"),  # torchvision
        ("pre_logits.fc1", "pre_logits.fc2", "head.fc"),  # timm, where they are convolutions
    )
    names = next((layout for layout in layouts if f"{layout[0]}.weight" in state), None)
    if names is None:
        problem = f"{weights} holds no fully connected layers of VGG16 (classifier.0 or pre_logits.fc1)"
        fix = "give torchvision's or timm's complete vgg16 file, or --set encoder_pretrained=false"
        raise WeightsError(problem, fix=fix)
    tensors = [state[f"{layer}.{kind}"] for layer in names for kind in ("weight", "bias")]
    return tuple(tensor.flatten(1) if tensor.ndim > 1 else tensor for tensor in tensors)


def arithmetic(device: torch.device) -> str:
    """How a kind of device computes float32: a GPU without TF32, in which kept features of old may be."""
    return "cuda without TF32" if device.type == "cuda" else device.type


def weights_digest(module: nn.Module) -> bytes:
    """SHA-256 over names, shapes and bits of all parameters and buffers."""
    total = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        total.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.digest()


def _model(name: str, *, pretrained: bool, side: int, part: Part, seed: int, classes: int = 0) -> nn.Module:
    import timm

    check_name(name)
    options: dict[str, Any] = {"num_classes": classes}
    if part == "trunk" and not name.startswith("vgg"):
        raise ConfigError(f"the encoder {name!r} has no trunk that ends before fully connected layers; vgg16 has")
    fix = f"give a local file: --set encoder_weights={name}.pth, or start at random: --set encoder_pretrained=false"
    with refused(name, fix=fix) if pretrained else nullcontext(), _seeded(name, seed):
        if part == "trunk" and not pretrained:
            return _bare_trunk(name)
        try:
            return timm.create_model(name, pretrained=pretrained, img_size=side, **options)
        except TypeError:  # convolutional models take any size and know no img_size
            return timm.create_model(name, pretrained=pretrained, **options)


@contextmanager
def _seeded(name: str, seed: int) -> Iterator[None]:
    """Draw random weights by architecture and seed, and leave PyTorch's own generator as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed_of("encoder", name, seed))
        yield


def _bare_trunk(name: str) -> nn.Module:
    """A VGG with random convolutions; its fully connected layers, nine tenths of its weights, take no memory."""
    import timm

    with torch.device("meta"):
        model: nn.Module = timm.create_model(name, num_classes=0)
    trunk: nn.Module = model.features.to_empty(device="cpu")  # type: ignore[union-attr]
    for layer in trunk.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.reset_parameters()
    return model


def _cut(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


def _dim(module: nn.Module, side: int, name: str) -> int:
    """Numbers per patch. Raises `ConfigError` for a side that the network does not take."""
    module.eval()
    try:
        with torch.inference_mode():
            return int(module(torch.zeros(1, 3, side, side)).shape[1])
    except (AssertionError, RuntimeError, ValueError) as error:
        told = (str(error).splitlines() or [type(error).__name__])[0]
        what = f"the encoder {name} takes no patches of {side} px: {told}"
        raise ConfigError(what, fix="--set input_side=224, or another side that it was trained at") from error
