"""`bench cache`: how large the cache is, and making room in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from benchmark.learning.encoders.kept import Entry

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Frozen features and other kept work: size, room.")

Cache = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Cache folder. Default: BENCH_CACHE, the user's cache folder.")
]

PRUNE = """\
Examples:

\b
  bench cache prune --older-than 30            # show what has not been used for 30 days
  bench cache prune --older-than 30 --yes      # and remove it
  bench cache prune --max-size 20 --yes        # keep the 20 GB used last
  bench cache prune --encoder vgg16 --yes

Removed features are computed again when they are asked for; no result is lost.
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
    out.print(f"cache  {root}", markup=False, soft_wrap=True)
    parts = table("part", "what", "size")
    for part, what in PARTS.items():
        parts.add_row(part, what, size_of(_bytes(root / part)))
    out.print(parts)
    found = entries(root / "features")
    if not found:
        out.print("no features yet", markup=False)
        return
    out.print(_by_slide(found) if slides else _by_encoder(found))


def _by_encoder(found: Sequence[Entry]) -> Table:
    from benchmark.commands.printing import table

    shown = table("encoder", "entries", "slides", "patches", "size", "took")
    for encoder in sorted({entry.encoder for entry in found}):
        own = [entry for entry in found if entry.encoder == encoder]
        shown.add_row(
            encoder,
            str(len(own)),
            str(len({entry.slide for entry in own})),
            f"{sum(entry.patches for entry in own):,}",
            size_of(sum(entry.bytes for entry in own)),
            f"{sum(entry.seconds for entry in own):.0f} s",
        )
    return shown


def _by_slide(found: Sequence[Entry]) -> Table:
    from datetime import datetime

    from benchmark.commands.printing import table

    shown = table("slide", "encoder", "patches", "size", "took", "last used")
    for entry in sorted(found, key=lambda entry: (entry.slide, entry.encoder, entry.home)):
        used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
        size, took = size_of(entry.bytes), f"{entry.seconds:.0f} s"
        shown.add_row(entry.slide, entry.encoder, f"{entry.patches:,}", size, took, used)
    return shown


@app.command(epilog=PRUNE)
def prune(
    older_than: Annotated[float | None, typer.Option(metavar="DAYS", min=0, help="Not used for so many days.")] = None,
    max_size: Annotated[float | None, typer.Option(metavar="GB", min=0, help="Keep at most so much.")] = None,
    encoder: Annotated[str | None, typer.Option(metavar="NAME", help="Features of this encoder.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All features.")] = False,
    stages: Annotated[bool, typer.Option("--stages", help="Also all kept stages: runs start from scratch.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it is only shown.")] = False,
    cache: Cache = None,
) -> None:
    """Remove frozen features (and stages, if asked); shows first what would go."""
    from benchmark.commands.printing import console
    from benchmark.learning.encoders import kept

    if older_than is None and max_size is None and encoder is None and not everything and not stages:
        raise ConfigError("nothing to prune was named", fix="bench cache prune --older-than 30")
    root = _root(cache)
    found = kept.entries(root / "features")
    limit = None if max_size is None else max_size * 1e9
    going = kept.chosen(found, older_than=older_than, max_bytes=limit, encoder=encoder, everything=everything)
    sizes = {entry.home: entry.bytes for entry in going}
    sizes |= {part: _bytes(part) for part in kept.leftovers(root / "features")}
    old = {home: kept.stage_bytes(home) for home in kept.stages(root / "stages")} if stages else {}
    what = f"{len(going)} of {len(found)} features, {len(sizes) - len(going)} unfinished ones"
    what += f", {len(old)} stages" if stages else ""
    out = console()
    if not yes:
        total = size_of(sum(sizes.values()) + sum(old.values()))
        out.print(f"would remove {what}: {total}; nothing was removed\n  → add --yes to do it", markup=False)
        return
    spared = [home for home in sizes if not kept.remove(home)] + [home for home in old if not kept.forget_stage(home)]
    everywhere = sizes | old
    total = size_of(sum(everywhere.values()) - sum(everywhere[home] for home in spared))
    but = f", but for the {len(spared)} named below" if spared else ""
    out.print(f"removed {what}{but}: {total}", markup=False)
    for home in spared:
        out.print(f"kept {home}: in use, or it holds a file that is not the cache's", markup=False, soft_wrap=True)


PARTS = {
    "features": "what frozen encoders made of patches",
    "stages": "finished stages and checkpoints of runs",
    "runs": "runs in progress",
    "synthetic": "miniatures of --data synthetic",
    "tracking": "empty tables of tracking stores",
}


def size_of(number: float) -> str:
    """Bytes in a unit a person reads."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def _root(cache: Path | None) -> Path:
    from benchmark.datahome import cache_home

    return cache or cache_home()


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
