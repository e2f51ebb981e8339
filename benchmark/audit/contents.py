"""Slides that are the same image: equal files, and tiles with equal pixels."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.audit.pixels import pixel_digests
from benchmark.digest import BLOCK, SAMPLES
from benchmark.slides import Slide

CONFIRMED = 64_000_000
"""Bytes up to which the quick audit, too, reads files that seem equal in full."""


@dataclass(frozen=True)
class Twins:
    """The paths of slides with equal content; `how` says what is equal."""

    paths: tuple[Path, ...]
    how: str


@dataclass(frozen=True)
class Comparison:
    """`decoded`: number of tiles whose pixels were compared, None if none were. `unread`: slide → reason."""

    twins: tuple[Twins, ...]
    decoded: int | None
    unread: Mapping[str, str]


def compare(slides: Sequence[Slide], root: Path, *, full: bool, cache: Path | None) -> Comparison:
    """Find slides at different paths with equal content.

    Files of equal size are compared by sampled blocks and, if these agree, by every byte: always with `full`,
    else up to `CONFIRMED` bytes. Pixels of tiles are compared with `full`, or if `cache` can keep their digests.
    Memory is bounded by a few tiles. A slide that cannot be read is listed in `unread` and not compared.
    """
    unread: dict[str, str] = {}
    sizes: dict[Path, int] = {}
    for slide in slides:
        try:
            sizes[slide.path] = slide.path.stat().st_size
        except OSError as error:
            unread[slide.id] = f"{slide.path} cannot be read: {error.strerror or error}"
    broken: dict[Path, str] = {}
    files = _file_digests(sizes, full, broken)
    unread |= {slide.id: broken[slide.path] for slide in slides if slide.path in broken}
    sizes = {path: size for path, size in sizes.items() if path not in broken}
    pixels: Mapping[Path, str] = {}
    decode = full or cache is not None
    if decode:
        decoded = pixel_digests([slide for slide in slides if slide.path in sizes], root, cache=cache, anew=full)
        pixels = decoded.digests
        unread |= decoded.unread
    groups = defaultdict(list)
    for path in sizes:
        if key := pixels.get(path) or files.get(path):
            groups[key].append(path)
    twins = [Twins(tuple(paths), _how(paths, files)) for paths in groups.values() if len(paths) > 1]
    return Comparison(tuple(twins), len(pixels) if decode else None, unread)


def _how(paths: Sequence[Path], files: Mapping[Path, str]) -> str:
    keys = {files.get(path) for path in paths}
    if len(keys) > 1 or None in keys:
        return "the same pixels in different files"
    return "the same bytes" if str(keys.pop()).startswith("every") else "the same size and sampled bytes"


def _file_digests(sizes: Mapping[Path, int], full: bool, broken: dict[Path, str]) -> dict[Path, str]:
    """Digests that are equal for equal files; a file that no other can equal gets none, nor one put into `broken`."""

    def sampled(path: Path) -> str:
        return f"sampled {sizes[path]} {_sampled(path, sizes[path])}"

    quick = _each(_alike(sizes), sampled, broken)
    confirmed = [path for path in _alike(quick) if full or sizes[path] <= CONFIRMED]
    kept = {path: quick[path] for path in _alike(quick) if path not in confirmed}
    return kept | _each(confirmed, lambda path: f"every {_whole(path)}", broken)


def _each(paths: Iterable[Path], digest: Callable[[Path], str], broken: dict[Path, str]) -> dict[Path, str]:
    """The digest of every path that can be read; why not, of the others, goes into `broken`."""
    found = {}
    for path in paths:
        try:
            found[path] = digest(path)
        except OSError as error:
            broken[path] = f"{path} cannot be read: {error.strerror or error}"
    return found


def _alike(keys: Mapping[Path, object]) -> Iterable[Path]:
    groups = defaultdict(list)
    for path, key in keys.items():
        groups[key].append(path)
    return [path for paths in groups.values() if len(paths) > 1 for path in paths]


def _sampled(path: Path, size: int) -> str:
    """Of blocks at the places that the quick content digest reads."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for sample in range(SAMPLES):
            stream.seek(max(0, sample * (size - BLOCK) // (SAMPLES - 1)))
            digest.update(stream.read(BLOCK))
    return digest.hexdigest()


def _whole(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
