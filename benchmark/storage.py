"""Atomic writes: a file is complete or absent."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import ConfigError, StageError

_ARRAY = "__array__"
_TUPLE = "__tuple__"


def require_place(out: Path) -> None:
    """Raise `ConfigError` unless a file can be written at `out`."""
    folder = out.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"cannot write {out}: there is no folder {folder}", fix=f"mkdir -p {folder}")
    if out.is_dir():
        raise ConfigError(f"cannot write {out}: it is a folder", fix=f"--out {out / 'NAME'}")


def require_folder(out: Path) -> None:
    """Raise `ConfigError` unless `out` is a folder that can be written into, or one can be made there."""
    there = out.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise ConfigError(f"cannot write into {out}: {there} is not a folder", fix="choose another --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"cannot write into {out}: {there} cannot be written", fix="choose another --out")


@contextmanager
def whole_file(path: Path, *, synced: bool = False) -> Iterator[Path]:
    """A temporary file beside `path` that replaces it when the block ends without an error.

    `synced`: written through to the disk first, so that a power cut leaves no empty file under the name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if synced:
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp lets only the owner read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def append_line(path: Path, whole: int, text: bytes) -> int:
    """Put a line behind the first `whole` bytes of a file and write it through to the disk; returns the new length.

    What lies beyond them is a line that a killed program left without its end, and is cut off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("r+b" if path.exists() else "w+b") as stream:
        stream.truncate(whole)
        stream.seek(whole)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    return whole + len(text)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def pack(value: Any, where: str = "the result") -> Any:
    """Turn arrays and tuples into what `torch.load(weights_only=True)` reads; raises `StageError` for other types."""
    import torch

    if isinstance(value, np.ndarray):
        return {_ARRAY: torch.from_numpy(np.ascontiguousarray(value))}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        return {key: pack(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, tuple):
        return {_TUPLE: [pack(item, where) for item in value]}
    if isinstance(value, list):
        return [pack(item, where) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    kinds = "tensors, arrays, numbers, strings, lists, tuples and dicts"
    raise StageError(f"{where} is a {type(value).__name__}; only {kinds} can be stored")


def unpack(value: Any) -> Any:
    """The inverse of `pack`."""
    if isinstance(value, dict):
        if _ARRAY in value:
            return value[_ARRAY].numpy()
        if _TUPLE in value:
            return tuple(unpack(item) for item in value[_TUPLE])
        return {key: unpack(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unpack(item) for item in value]
    return value


def save(value: Any, path: Path) -> None:
    """Write tensors, arrays and plain values to one file."""
    import torch

    with whole_file(path, synced=True) as temporary:
        torch.save(pack(value), temporary)


UNREADABLE = (EOFError, KeyError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError)
"""What `load` and `json.loads` raise for a file that a failing disk or a power cut emptied or cut off."""


def load(path: Path) -> Any:
    """Read what `save` wrote, tensors on the CPU; no code is unpickled. Raises one of `UNREADABLE`."""
    import torch

    return unpack(torch.load(path, map_location="cpu", weights_only=True))
