"""Feature files of other tools: what one says of its patches, and its rows.

* TRIDENT: NAME.h5 with `features` (n × d) and `coords` (n × 2: x, y of the upper left corner in level-0 px), whose
  attributes are `patch_size`, `patch_size_level0`, `level0_magnification`, `target_magnification`, `level0_width` …
* CLAM: h5_files/NAME.h5 with the same two and no attributes; those are in patches/NAME.h5 (`patch_size`,
  `patch_level`, `downsample`, `level_dim`).
* PyTorch: NAME.pt, a tensor n × d, with NAME.csv, whose columns `x` and `y` are the same corners.

Source: mahmoodlab/TRIDENT, trident/IO.py; mahmoodlab/CLAM, extract_features_fp.py, wsi_core/WholeSlideImage.py.
"""

from __future__ import annotations

import csv
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import FeaturesError

ENCODER_NAMES = ("encoder", "encoder_name", "patch_encoder", "model_name", "model")
"""Attributes in which tools name the encoder."""
AGAIN = "write the file again with the tool that made it"
Number = int | float


@dataclass(frozen=True, eq=False)
class FeatureFile:
    """The features of one slide. `corners`: n × 2, x and y in level-0 px. `side`: of a patch, None where not said.

    `size`: of the slide, (width, height), `magnification`: of its level 0, `encoder`: each None where not said.
    """

    path: Path
    corners: NDArray[np.int64]
    dim: int
    precision: str
    side: float | None = None
    size: tuple[int, int] | None = None
    magnification: float | None = None
    encoder: str | None = None
    values: NDArray[np.floating[Any]] | None = field(default=None, repr=False)
    """Those of a .pt, which cannot be read in parts."""

    def blocks(self, numbers: NDArray[np.int64], batch: int) -> Iterator[NDArray[np.floating[Any]]]:
        """The rows of these numbers, in their order, `batch` at a time.

        Raises `FeaturesError` naming the first row that is not finite.
        """
        with _opened(self.path) if self.values is None else _nothing() as file:
            for start in range(0, numbers.size, batch):
                part = numbers[start : start + batch]
                values = self.values[part] if self.values is not None else _rows(file["features"], part)
                wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
                if wrong.size:
                    number = int(part[wrong[0]])
                    place = "(" + ", ".join(map(str, self.corners[number].tolist())) + ")"
                    what = f"{self.path}: row {number}, the patch at {place}, holds NaN or infinity"
                    raise FeaturesError(what, fix=AGAIN)
                yield values.astype(self.precision, copy=False)


def read_feature_file(path: Path, beside: Path | None = None) -> FeatureFile:
    """What a file says. `beside`: CLAM's file of patches, which has the attributes that the other lacks.

    Raises `FeaturesError` when it is damaged, lacks coordinates or features, or they do not go together.
    """
    if path.suffix == ".pt":
        return _read_tensor(path)
    with _opened(path) as file:
        if "features" not in file or "coords" not in file:
            lacking = " and ".join(name for name in ("features", "coords") if name not in file)
            what = f"{path} has no dataset {lacking}; it has: {', '.join(file) or 'nothing'}"
            raise FeaturesError(what, fix="features need the corner of each patch: a dataset `coords`, n × 2")
        shape, kind = file["features"].shape, file["features"].dtype
        corners = _corners(file["coords"][()], path)
        attributes = {**file.attrs, **file["features"].attrs, **file["coords"].attrs}
    if not attributes.keys() & {"patch_size", "patch_size_level0"} and beside is not None:
        with _opened(beside) as file:
            attributes |= {**file["coords"].attrs} if "coords" in file else {}
    _check_shape(path, shape, len(corners))
    return FeatureFile(path, corners, int(shape[1]), _precision(path, kind), **_geometry(attributes, path))


def _read_tensor(path: Path) -> FeatureFile:
    import torch

    table = path.with_suffix(".csv")
    if not table.is_file():
        raise FeaturesError(f"{path} has no coordinates: there is no {table.name} beside it", fix=f"write {table}: x,y")
    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise FeaturesError(f"{path} cannot be read as a tensor: {text}", fix=AGAIN) from error
    if not isinstance(tensor, torch.Tensor):
        raise FeaturesError(f"{path} holds a {type(tensor).__name__}, expected a tensor n × d", fix=AGAIN)
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    values = tensor.numpy()
    with table.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    names = {name.strip().lower(): name for name in (rows[0] if rows else {}) if name}
    if rows and not {"x", "y"} <= names.keys():
        raise FeaturesError(
            f"{table} has the columns {', '.join(names)}; expected x and y", fix=f"rename them in {table}"
        )
    try:
        corners = np.array([[float(row[names[axis]]) for axis in ("x", "y")] for row in rows]).reshape(-1, 2)
        sides = {float(row[names["patch_size_level0"]]) for row in rows} if "patch_size_level0" in names else set()
    except (TypeError, ValueError) as error:
        raise FeaturesError(f"{table} holds something that is no number: {error}", fix=f"correct {table}") from error
    if len(sides) > 1:
        raise FeaturesError(f"{table} has patches of {len(sides)} sizes; one size a file is read", fix=AGAIN)
    _check_shape(path, values.shape, len(corners))
    side = next(iter(sides), None)
    precision = _precision(path, values.dtype)
    return FeatureFile(path, _corners(corners, table), int(values.shape[1]), precision, side, values=values)


def _geometry(attributes: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What attributes of either tool say of patches and slide, in level-0 px."""
    number = {name: value for name in attributes if (value := _number(attributes[name])) is not None}
    side, size = number.get("patch_size_level0"), None
    if "level0_width" in number and "level0_height" in number:
        size = (round(number["level0_width"]), round(number["level0_height"]))
    magnification, target = number.get("level0_magnification"), number.get("target_magnification")
    if "patch_size" in number and magnification and target:
        derived = number["patch_size"] * magnification / target
        if side is not None and abs(side - derived) > 1:
            what = f"{path} contradicts itself: patch_size_level0 = {side:g}, but {derived:g} from its magnifications"
            raise FeaturesError(what, fix=AGAIN)
        side = derived if side is None else side
    elif side is None and "patch_size" in number and "patch_level" in number:
        side = _clams_side(number["patch_size"], number["patch_level"], attributes, path)
        level = _pair(attributes.get("level_dim"))
        if level is not None and number["patch_level"] == 0:
            size = (round(level[0]), round(level[1]))
    named = (attributes[name] for name in ENCODER_NAMES if name in attributes)
    encoder = next((text for text in map(_text, named) if text and text != "None"), None)
    return {"side": side, "size": size, "magnification": magnification, "encoder": encoder}


def _clams_side(patch: Number, level: Number, attributes: Mapping[str, Any], path: Path) -> float:
    downsample = _pair(attributes.get("downsample"))
    if downsample is None and level == 0:
        downsample = (1.0, 1.0)
    if downsample is None:
        what = f"{path}: patch_level = {level:g}, but no `downsample` says how large its patches are at level 0"
        raise FeaturesError(what, fix="--set features_patch=N, in level-0 px")
    return float(patch * downsample[0] * (_number(attributes.get("custom_downsample")) or 1))


def _corners(values: NDArray[Any], path: Path) -> NDArray[np.int64]:
    if values.ndim != 2 or values.shape[1] != 2 or values.dtype.kind not in "iuf":
        what = f"{path}: coordinates are {values.dtype} of shape {values.shape}, expected numbers n × 2"
        raise FeaturesError(what, fix=AGAIN)
    whole: NDArray[Any] = np.rint(values)
    if not np.isfinite(values).all() or np.abs(whole - values).max(initial=0) > 0.01:
        raise FeaturesError(f"{path}: coordinates are not whole level-0 pixels", fix=AGAIN)
    corners: NDArray[np.int64] = whole.astype(np.int64)
    return corners


def _check_shape(path: Path, shape: tuple[int, ...], corners: int) -> None:
    if len(shape) != 2 or shape[1] < 1:
        raise FeaturesError(f"{path}: features have shape {shape}, expected n × d", fix=AGAIN)
    if shape[0] != corners:
        raise FeaturesError(f"{path} has {shape[0]} rows of features and {corners} of coordinates", fix=AGAIN)


def _precision(path: Path, kind: np.dtype[Any]) -> str:
    """As it is kept; double precision is brought to single, which all methods compute in."""
    if kind.kind != "f":
        raise FeaturesError(f"{path}: features are {kind}, expected floating-point numbers", fix=AGAIN)
    return "float16" if kind.itemsize == 2 else "float32"


def _rows(dataset: Any, numbers: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
    """h5py takes rows in ascending order only, and single ones slowly: neighbours are read in one piece."""
    order = np.argsort(numbers, kind="stable")
    ascending = numbers[order]
    first, last = int(ascending[0]), int(ascending[-1]) + 1
    values = np.empty((numbers.size, dataset.shape[1]), dataset.dtype)
    near = last - first <= 4 * numbers.size
    values[order] = dataset[first:last][ascending - first] if near else dataset[ascending]
    return values


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise FeaturesError(f"{path} cannot be read as HDF5: {text}", fix=AGAIN) from error


@contextmanager
def _nothing() -> Iterator[Any]:
    yield None


def _number(value: Any) -> float | None:
    array = np.asarray(value)
    return float(array.item()) if array.size == 1 and array.dtype.kind in "iuf" else None


def _pair(value: Any) -> tuple[float, float] | None:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.size not in (1, 2):
        return None
    return float(array.flat[0]), float(array.flat[-1])


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
