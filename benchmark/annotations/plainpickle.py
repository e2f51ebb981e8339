"""Pickles of plain containers and NumPy's numbers, read without calling anything that a file could choose."""

from __future__ import annotations

import math
import pickle
import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

NUMBER = re.compile(r"[<>|=]?[biuf][1248]")
"""Codes of the NumPy numbers that are admitted."""


class Refused(pickle.UnpicklingError):
    """The file asks for something that data never needs."""


def load_plain(path: Path) -> Any:
    """The content: dicts, lists, tuples, strings, numbers, arrays of numbers.

    Raises `Refused` for a pickle that names anything else, and `pickle.UnpicklingError`, `EOFError` or the like for
    what is no pickle.
    """
    with path.open("rb") as stream:
        return _Unpickler(stream).load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = ADMITTED.get((module, name))
        if found is None:
            raise Refused(f"it names {module}.{name}, which data does not need")
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise Refused("it refers to objects outside the file")


class _Named:
    """Stands for a name in the file. Nothing of NumPy itself is handed out, so nothing of it can be changed."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> NoReturn:
        raise Refused("it changes a function or class")


class _Dtype(_Named):
    def __call__(self, code: Any, *_: Any) -> _Code:
        return _Code(code)


class _Code:
    """A dtype: its letter and size, and the byte order that follows in its state."""

    __slots__ = ("order", "text")

    def __init__(self, text: Any) -> None:
        if not isinstance(text, str) or not NUMBER.fullmatch(text):
            raise Refused(f"it holds NumPy values of type {text!r}, expected numbers")
        self.text, self.order = text.lstrip("<>|="), "<"

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise Refused(f"it holds a byte order {order!r}")
        self.order = order

    def values(self, raw: Any) -> np.ndarray[Any, np.dtype[Any]]:
        if not isinstance(raw, bytes):
            raise Refused(f"it holds NumPy values as {type(raw).__name__}, expected bytes")
        return np.frombuffer(raw, np.dtype(self.order + self.text))


class _Scalar(_Named):
    def __call__(self, code: Any, raw: Any) -> Any:
        found = code.values(raw)
        if found.size != 1:
            raise Refused(f"it holds a number of {found.size} values")
        return found[0].item()


class _Encode(_Named):
    def __call__(self, text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise Refused(f"it encodes text as {encoding!r}")
        return text.encode("latin1")


class _Reconstruct(_Named):
    def __call__(self, *_: Any) -> _Array:
        return _Array()


class _Array(list[Any]):
    """An array, as nested lists."""

    def __setstate__(self, state: Any) -> None:
        _, shape, code, fortran, raw = state
        found = code.values(raw)
        if math.prod(shape) != found.size:
            raise Refused(f"it holds an array of shape {shape} with {found.size} values")
        self[:] = np.atleast_1d(found.reshape(shape, order="F" if fortran else "C")).tolist()


ADMITTED = {
    ("numpy", "dtype"): _Dtype(),
    ("numpy", "ndarray"): _Named(),
    ("_codecs", "encode"): _Encode(),  # how bytes are written in the protocols before 3
    **{(f"numpy.{core}.multiarray", "scalar"): _Scalar() for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Reconstruct() for core in ("core", "_core")},
}
"""All that a file may name, and what stands for it. NumPy's module moved, so it goes by two names."""
