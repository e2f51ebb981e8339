"""Kept features as files of TRIDENT's form, which other tools and `bench run --features` read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import ConfigError
from benchmark.learning.encoders.features import CELLS, FACTS, ROWS, VALUES
from benchmark.learning.encoders.kept import Entry
from benchmark.storage import whole_file

MAGNIFICATIONS = (80, 60, 40, 20, 10, 5)
NEEDED = frozenset({"x", "y", "size", "file", "mpp"})
"""What earlier versions did not note down of an entry."""


@dataclass(frozen=True)
class Written:
    """The slides written into one folder, which `--features` reads."""

    folder: Path
    encoder: str
    side: int
    distance: int
    slides: tuple[str, ...]


@dataclass(frozen=True)
class Export:
    """What was written, and how many entries were not: by reason."""

    written: tuple[Written, ...]
    left_out: dict[str, int]


def export(entries: Sequence[Entry], out: Path, *, encoder: str | None = None, data: Path | None = None) -> Export:
    """Write one NAME.h5 a slide below `out`; a folder each where encoders, patch sizes or distances differ.

    `encoder`: only its features (its name up to a colon, or whole). `data`: only slides below this folder. Of several
    entries of a slide that differ in their cells alone, the last used is written. Raises `ConfigError` when nothing
    is left to write, `out` holds something already, or two slides have one name.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} exists and is not an empty folder", fix="--out a folder that does not exist yet")
    left_out: dict[str, int] = {}
    groups: dict[tuple[str, str, int, int], dict[str, tuple[Entry, dict[str, Any]]]] = {}
    for entry in entries:  # the last used comes last
        facts = json.loads((entry.home / FACTS).read_text())
        if why := _unwanted(facts, encoder, data):
            left_out[why] = left_out.get(why, 0) + 1
            continue
        distance = facts["x"][1] - facts["x"][0] if len(facts["x"]) > 1 else facts["patch"][0]
        key = (facts["encoder_name"], facts["encoder"], facts["patch"][0], distance)
        group = groups.setdefault(key, {})
        before = group.get(entry.slide)
        if before is not None:
            _require_same(before[1], facts)
            left_out["older entry of the same slide"] = left_out.get("older entry of the same slide", 0) + 1
        group[entry.slide] = (entry, facts)
    if not groups:
        reasons = ", ".join(f"{count} {why}" for why, count in left_out.items()) or "the cache keeps none"
        raise ConfigError(f"no features to export: {reasons}", fix="bench cache info")
    written = []
    for (name, digest, side, distance), group in groups.items():
        like = [other for other in groups if (other[0], other[2], other[3]) == (name, side, distance)]
        place = f"features_{name.replace(':', '-')}_{side}px_every_{distance}px"
        place += f"_{digest}" if len(like) > 1 else ""
        folder = out / place if len(groups) > 1 else out
        for slide, (entry, facts) in group.items():
            _write(folder / f"{slide}.h5", entry, facts, distance)
        written.append(Written(folder, name, side, distance, tuple(sorted(group))))
    return Export(tuple(written), left_out)


def _unwanted(facts: dict[str, Any], encoder: str | None, data: Path | None) -> str | None:
    """Why an entry is not written; None when it is."""
    name = facts["encoder_name"]
    if name.endswith(":elsewhere"):
        return "made elsewhere"
    if encoder is not None and encoder not in (name, name.partition(":")[0]):
        return "of other encoders"
    if not facts.keys() >= NEEDED:
        return "of an earlier version, without coordinates (bench cache prune, and run again)"
    if data is not None and not Path(facts["file"]).is_relative_to(data.absolute()):
        return "of slides elsewhere"
    return None if facts["patch"][0] == facts["patch"][1] else "of patches that are no squares"


def _require_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    if one["content"] != other["content"]:
        what = f"two slides are called {one['slide']!r}: {one['file']} and {other['file']}"
        raise ConfigError(what, fix=f"--data {Path(one['file']).parent}")


def _write(path: Path, entry: Entry, facts: dict[str, Any], distance: int) -> None:
    import h5py

    values, cells = np.load(entry.home / VALUES, mmap_mode="r"), np.load(entry.home / CELLS)
    corners = np.stack([np.array(facts["x"])[cells[:, 1]], np.array(facts["y"])[cells[:, 0]]], axis=1)
    side = facts["patch"][0]
    place = {
        "patch_size": side,
        "patch_size_level0": side,
        "overlap": max(0, side - distance),
        "name": facts["slide"],
        "savetodir": str(path.parent.absolute()),
        "level0_width": facts["size"][0],
        "level0_height": facts["size"][1],
    }
    if facts["mpp"]:
        own = min(MAGNIFICATIONS, key=lambda known: abs(known - 10 / facts["mpp"]))
        place |= {"level0_magnification": own, "target_magnification": own}
    with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
        features = file.create_dataset("features", values.shape, values.dtype, chunks=True if len(values) else None)
        for start in range(0, len(values), ROWS):
            features[start : start + ROWS] = values[start : start + ROWS]
        named = {"name": facts["slide"], "encoder": facts["encoder_name"], "encoder_digest": facts["encoder"]}
        features.attrs.update({**named, "savetodir": place["savetodir"]})
        file.create_dataset("coords", data=corners.astype(np.int64)).attrs.update(place)
