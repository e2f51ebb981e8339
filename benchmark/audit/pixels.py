"""Digests of the decoded pixels of tiles, cached until the file changes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import DataError
from benchmark.identity import digest_of
from benchmark.slides import Slide
from benchmark.storage import whole_file

LARGEST = 4_000_000
"""Pixels up to which a slide is a tile, whose pixels are compared."""

HEAVIEST = 32_000_000
"""Bytes above which a file is assumed to be a larger image and not opened."""


@dataclass(frozen=True)
class Decoded:
    """`digests`: of the tiles that could be decoded, by path. `unread`: slide → why it could not be."""

    digests: Mapping[Path, str]
    unread: Mapping[str, str]


def pixel_digests(slides: Sequence[Slide], root: Path, *, cache: Path | None, anew: bool) -> Decoded:
    """The digest of size and pixels of every tile among `slides`; equal for a BMP and a PNG of one image.

    With `cache`, the digest of a file of unchanged size and time is read from there, unless `anew`; new ones are
    stored there, in one file per `root`.
    """
    home = cache / "audit" / f"{_identity(root)}.json" if cache is not None else None
    known = _kept(home) if home is not None and not anew else {}
    stamps = {slide.path: _stamp(slide.path) for slide in slides}
    entries: dict[str, list[Any]] = {}
    unread: dict[str, str] = {}
    fresh = []
    for slide in slides:
        before = known.get(str(slide.path), [])
        if before[:2] == stamps[slide.path]:
            entries[str(slide.path)] = before
        else:
            fresh.append(slide)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for slide, result in zip(fresh, pool.map(_digest, fresh), strict=True):
            if isinstance(result, DataError):
                unread[slide.id] = result.what
            else:
                entries[str(slide.path)] = [*stamps[slide.path], result]
    if home is not None and len(fresh) > len(unread):
        with whole_file(home) as temporary:
            temporary.write_text(json.dumps(entries), encoding="utf-8")
    digests = {slide.path: entry[2] for slide in slides if (entry := entries.get(str(slide.path))) and entry[2]}
    return Decoded(digests, unread)


def _digest(slide: Slide) -> str | DataError | None:
    """None for a slide that is not a tile; the error, for the caller to report, if it cannot be decoded."""
    if slide.path.stat().st_size > HEAVIEST:
        return None
    try:
        width, height = slide.size
        if width * height > LARGEST:
            return None
        pixels = slide.read(0, 0, width, height)
    except DataError as error:
        return error
    return hashlib.sha256(f"{width} {height}\n".encode() + pixels.tobytes()).hexdigest()


def _stamp(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _identity(root: Path) -> str:
    """Of the folder and the libraries that decode: another version may give other pixels."""
    import PIL

    from benchmark.slides.readers import reader_version

    return digest_of([str(root.resolve()), reader_version(), PIL.__version__])


def _kept(home: Path) -> dict[str, list[Any]]:
    if not home.is_file():
        return {}
    try:
        kept: dict[str, list[Any]] = json.loads(home.read_text(encoding="utf-8"))
    except ValueError:  # damaged: only the time to decode again is lost
        return {}
    return kept
