"""A PNG some rows at a time: Pillow decodes it whole or not at all."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError

PNG = b"\x89PNG\r\n\x1a\n"

Band = tuple[int, NDArray[Any]]
"""The first row of a band, and its numbers, rows × width."""


def png_bands(path: Path, pixels: int) -> Iterator[Band] | None:
    """Bands of about so many pixels; None for an interlaced or coloured PNG, and for what is none."""
    with path.open("rb") as stream:
        head = stream.read(33)
    if head[:8] != PNG or len(head) < 33:
        return None
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", head[16:29])
    if interlaced or colour not in (0, 3):
        return None
    return _bands(path, (width, height), depth, max(1, pixels // max(1, width)))


def unstretched(path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    """The numbers of a grey PNG of 2 or 4 bits that Pillow has decoded; the pixels of any other file as they are."""
    with path.open("rb") as stream:
        head = stream.read(33)
    depth, colour = head[24:26] if head[:8] == PNG and len(head) == 33 else (8, 0)
    return _numbers(pixels, depth) if colour == 0 and depth < 8 else pixels


def _bands(path: Path, size: tuple[int, int], depth: int, rows: int) -> Iterator[Band]:
    """Cut the stream of filtered rows into strips, and hand each to Pillow as a small PNG of its own.

    Rows are filtered against the row above: each strip begins with the last row of the one before, unfiltered.
    """
    from PIL import Image

    width, height = size
    stride = (width * depth + 7) // 8
    head = struct.pack(">IIBBBBB", width, 0, depth, 0, 0, 0, 0)[8:]
    raw, above, first = _inflated(path), b"\0" * stride, 0
    buffer = bytearray()
    while first < height:
        count = min(rows, height - first)
        while len(buffer) < count * (stride + 1):
            block = next(raw, None)
            if block is None:
                raise DataError(f"the label image {path} is cut off after row {first + len(buffer) // (stride + 1)}")
            buffer += block
        filtered = bytes(buffer[: count * (stride + 1)])
        del buffer[: count * (stride + 1)]
        parts = (
            _chunk(b"IHDR", struct.pack(">II", width, count + 1) + head),
            _chunk(b"IDAT", zlib.compress(b"\0" + above + filtered, 0)),
        )
        with Image.open(io.BytesIO(PNG + b"".join(parts) + _chunk(b"IEND", b""))) as image:
            image.load()
            band = _numbers(np.asarray(image), depth)
        above = _packed(band[-1], depth)
        yield first, band[1:]
        first += count


def _numbers(pixels: NDArray[Any], depth: int) -> NDArray[Any]:
    """Pillow stretches grey of 2 and 4 bits to 255; the numbers are what was written."""
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8)
    return pixels // (255 // ((1 << depth) - 1)) if depth in (2, 4) else pixels


def _packed(row: NDArray[Any], depth: int) -> bytes:
    if depth == 16:
        return row.astype(">u2").tobytes()
    if depth == 8:
        return row.astype(np.uint8).tobytes()
    bits = (row[:, None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8).ravel()).tobytes()


def _inflated(path: Path) -> Iterator[bytes]:
    """The content of a PNG's data chunks, inflated, in blocks."""
    inflate = zlib.decompressobj()
    with path.open("rb") as stream:
        stream.seek(len(PNG))
        while head := stream.read(8):
            if len(head) < 8:
                return
            length, kind = struct.unpack(">I4s", head)
            if kind != b"IDAT":
                stream.seek(length + 4, 1)
                continue
            data = stream.read(length)
            stream.seek(4, 1)
            while data:
                yield inflate.decompress(data, 1 << 24)
                data = inflate.unconsumed_tail


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
