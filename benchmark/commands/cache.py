"""`bench cache`: show the cache, free space in it, write its features for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.options import Cache
from benchmark.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from benchmark.learning.encoders.kept import Entry

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Show the cache, delete parts of it, export its features.",
)

PRUNE = """\
Examples:

\b
  bench cache prune --older-than 30            # list what was not used for 30 days
  bench cache prune --older-than 30 --yes      # delete it
  bench cache prune --max-size 20 --yes        # keep the 20 GB that were used last
  bench cache prune --encoder vgg16 --yes

Deleted features are computed again when needed; no result is lost.
"""


@app.command()
def info(
    slides: Annotated[bool, typer.Option("--slides", help="One line per slide and encoder.")] = False,
    cache: Cache = None,
) -> None:
    """Show the size of each part of the cache, and of the features by encoder."""
    from benchmark.commands.printing import console, table
    from benchmark.learning.encoders.kept import entries

    root = _root(cache)
    out = console()
    out.print(f"cache  {root}", soft_wrap=True)
    parts = table("part", "contents", "size")
    for part, contents in PARTS.items():
        parts.add_row(part, contents, size_of(_bytes(root / part)))
    out.print(parts)
    features = entries(root / "features")
    if not features:
        out.print("no features yet")
        return
    out.print(_by_slide(features) if slides else _by_encoder(features))


def _by_encoder(features: Sequence[Entry]) -> Table:
    from benchmark.commands.printing import table

    shown = table("encoder", "entries", "slides", "patches", "size", "computed in")
    for encoder in sorted({entry.encoder for entry in features}):
        own = [entry for entry in features if entry.encoder == encoder]
        shown.add_row(
            encoder,
            str(len(own)),
            str(len({entry.slide for entry in own})),
            f"{sum(entry.patches for entry in own):,}",
            size_of(sum(entry.bytes for entry in own)),
            f"{sum(entry.seconds for entry in own):.0f} s",
        )
    return shown


def _by_slide(features: Sequence[Entry]) -> Table:
    from datetime import datetime

    from benchmark.commands.printing import table

    shown = table("slide", "encoder", "patches", "size", "computed in", "last used")
    for entry in sorted(features, key=lambda entry: (entry.slide, entry.encoder, entry.home)):
        used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
        size, took = size_of(entry.bytes), f"{entry.seconds:.0f} s"
        shown.add_row(entry.slide, entry.encoder, f"{entry.patches:,}", size, took, used)
    return shown


EXPORT = """\
Examples:

\b
  bench cache export --out features                        # all features of our encoders
  bench cache export --out features --encoder imagenet-lite0 --data /data/camelyon16
  bench run --method dknn --dataset camelyon16 --features features

One HDF5 file a slide, as TRIDENT writes them: datasets features and coords (level-0 px) with their attributes.
"""


@app.command(epilog=EXPORT)
def export(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="New folder for the files.")],
    encoder: Annotated[str | None, typer.Option(metavar="NAME", help="Features of this encoder only.")] = None,
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Only of slides below this folder.")] = None,
    cache: Cache = None,
) -> None:
    """Write the kept features as files that TRIDENT's readers and bench run --features read."""
    from benchmark.commands.printing import console
    from benchmark.learning.encoders import exported
    from benchmark.learning.encoders.kept import entries

    done = exported.export(entries(_root(cache) / "features"), out, encoder=encoder, data=data)
    show = console()
    for part in done.written:
        number = f"{len(part.slides)} slide{'s' if len(part.slides) > 1 else ''}"
        patches = f"patches of {part.side} px every {part.distance} px"
        show.print(f"{part.encoder}, {patches}: {number}\n  → --features {part.folder}", markup=False, soft_wrap=True)
    for why, count in done.left_out.items():
        show.print(f"not written: {count} {why}", markup=False, soft_wrap=True)


@app.command(epilog=PRUNE)
def prune(
    older_than: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0, help="Features not used for this many days.")
    ] = None,
    max_size: Annotated[float | None, typer.Option(metavar="GB", min=0, help="Keep this much, the last used.")] = None,
    encoder: Annotated[str | None, typer.Option(metavar="NAME", help="Features of this encoder.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All features.")] = False,
    stages: Annotated[bool, typer.Option("--stages", help="Also all stages: runs start from scratch.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it, only list.")] = False,
    cache: Cache = None,
) -> None:
    """Delete frozen features, and stages with --stages."""
    from benchmark.commands.printing import console
    from benchmark.learning.encoders import kept

    if older_than is None and max_size is None and encoder is None and not everything and not stages:
        raise ConfigError("nothing selected to delete", fix="bench cache prune --older-than 30")
    root = _root(cache)
    features = kept.entries(root / "features")
    limit = None if max_size is None else max_size * 1e9
    unwanted = kept.chosen(features, older_than=older_than, max_bytes=limit, encoder=encoder, everything=everything)
    sizes = {entry.home: entry.bytes for entry in unwanted}
    sizes |= {part: _bytes(part) for part in kept.leftovers(root / "features")}
    old = {home: kept.stage_bytes(home) for home in kept.stages(root / "stages")} if stages else {}
    selection = f"{len(unwanted)} of {len(features)} features, {len(sizes) - len(unwanted)} unfinished ones"
    selection += f", {len(old)} stages" if stages else ""
    out = console()
    if not yes:
        total = size_of(sum(sizes.values()) + sum(old.values()))
        out.print(f"would delete {selection}: {total}; nothing was deleted\n  → delete: add --yes")
        return
    spared = [home for home in sizes if not kept.remove(home)] + [home for home in old if not kept.forget_stage(home)]
    everywhere = sizes | old
    total = size_of(sum(everywhere.values()) - sum(everywhere[home] for home in spared))
    exceptions = f", except the {len(spared)} listed below" if spared else ""
    out.print(f"deleted {selection}{exceptions}: {total}")
    for home in spared:
        out.print(f"kept {home}: in use, or holds files that the cache did not write", soft_wrap=True)


PARTS = {
    "features": "patch features of frozen encoders",
    "stages": "finished stages and checkpoints of runs",
    "runs": "runs in progress",
    "synthetic": "miniatures of --data synthetic",
    "tracking": "empty store databases, copied for new stores",
    "digests": "digests of data files, until size or time change",
}


def size_of(number: float) -> str:
    """A number of bytes in the unit that reads best."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def _root(cache: Path | None) -> Path:
    from benchmark.cachehome import cache_home

    return cache or cache_home()


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
