"""LC-MIL on one slide: frozen features computed once, against once per bag and once more per cell, as published.

    python measurements/lcmil_cost.py [--encoder vgg16] [--side 64] [--fc-width 1024] [--cells 1024] [--bags 1000]
                                    [--fraction 0.1]

Both ways draw the same bags and start from the same weights. Ours is measured whole, from reading the slide to the
refined annotation, for one coarse annotation and for five of the same slide. The published way sends every bag through
the frozen convolutions twice (the loss, then the accuracy), and every cell once more by itself; it is measured on
a stated fraction of bags and cells and scaled. Scores are compared on that fraction, after training on the same bags.
The paper's sizes are `--side 224 --fc-width 4096`. Weights are random: they do not change the cost.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmark.annotations import Annotation, Polygons, Region
from benchmark.context import Context
from benchmark.learning.encoders.frozen import FrozenEncoder
from benchmark.methods.cleaning.cells import Cells, Rows
from benchmark.methods.cleaning.cleaning_nets import Focal, MilNet
from benchmark.methods.cleaning.cleaning_params import LcmilParams
from benchmark.methods.cleaning.lcmil import Bag, Lcmil, rate_at
from benchmark.slides import Grid, Slide, stream_patches, write_pyramid
from benchmark.supervision import Labels, Ledger, Supervision

CELL = 128
VERSIONS = 5
TOLERANCE = 1e-5
ONE, FIVE = 4.0, 10.0
"""Ratios that have to be reached for one annotation, and for five of one slide."""


@dataclass
class OneSlide:
    """A slide that is tissue throughout, and one of its coarse annotations: a box that grows with `version`."""

    version: int = 0
    classes: tuple[str, ...] = ("normal", "tumor")

    def evaluation_grid(self, slide: Slide) -> Grid:
        return Grid.regular(slide.size, CELL)

    def tissue(self, slide: Slide, grid: Grid) -> None:
        return None

    def coarse(self, slide: Slide) -> Annotation:
        width, height = slide.size
        return Polygons([Region(shapely.box(0, 0, width * (0.4 + 0.05 * self.version), height), 1)])


def painted(path: Path, cells: int) -> Slide:
    """A square slide of about `cells` cells, darker on its left half, as a tiled pyramid."""
    side = max(2, round(cells**0.5)) * CELL

    def bands() -> Iterator[NDArray[np.uint8]]:
        rng = np.random.default_rng(0)
        for _ in range(side // CELL):
            band = rng.normal(190, 25, (CELL, side, 3))
            band[:, : side // 2] -= (60, 90, 40)
            yield band.clip(0, 255).astype(np.uint8)

    write_pyramid(path, bands(), (side, side), mpp=0.5)
    return Slide("slide", path, "patient")


def prepared(options: Any, folder: Path, version: int) -> tuple[Lcmil, Labels, Context]:
    """LC-MIL with the surroundings of a run, for one coarse annotation."""
    method = Lcmil(
        Lcmil.Params(
            encoder=options.encoder,
            encoder_pretrained=False,
            input_side=options.side,
            fc_width=options.fc_width,
            bags=options.bags,
        )
    )
    source: Any = OneSlide(version)
    slide = Slide("slide", folder / "slide.tif", "patient")
    labels = Labels(source, [slide], {Supervision.COARSE}, Ledger(), sealed=True)
    context = Context(
        geometry=source,
        folder=folder / "stages",
        ledger=Ledger(),
        device=options.device,
        data_digest=f"version {version}",
        features=folder / "features",
    )
    return method, labels, context.bind(method)


def ours(slide: Slide, options: Any, folder: Path) -> list[float]:
    """Seconds for each of the coarse annotations, one after the other; the first one finds no features."""
    seconds = []
    for version in range(VERSIONS):
        method, labels, context = prepared(options, folder, version)
        began = time.perf_counter()
        method.predict(slide, labels, context)
        seconds.append(time.perf_counter() - began)
    return seconds


class AsPublished:
    """Every patch is read and sent through the frozen convolutions whenever it is needed."""

    def __init__(self, slide: Slide, cells: Cells, encoder: FrozenEncoder, patch: int) -> None:
        self.slide, self.encoder, self.patches = slide, encoder, cells.patches(patch)
        self.places = np.argwhere(cells.tissue)

    def take(self, numbers: NDArray[np.int64]) -> torch.Tensor:
        """Features of some cells, computed now."""
        pixels = []
        for row, col in self.places[numbers]:
            cell = self.patches.cell(int(row), int(col))
            pixels += [part.pixels for part in stream_patches(self.slide, cell, side=self.encoder.side, readers=0)]
        return self.encoder(np.concatenate(pixels)).clone()

    def train(self, net: MilNet, bags: list[Bag], params: LcmilParams) -> None:
        """One bag after the other, twice through everything; the second pass leaves the dropout masks as they were."""
        loss_of = Focal.of(params)
        adam = torch.optim.Adam(net.parameters(), lr=params.lr, weight_decay=params.weight_decay, fused=True)
        net.train()
        for step, bag in enumerate(bags):
            adam.param_groups[0]["lr"] = rate_at(step, params)
            loss = loss_of(net(self.take(bag.cells)), bag.positive)
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            with torch.random.fork_rng(), torch.no_grad():
                net(self.take(bag.cells))

    def score(self, net: MilNet, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """One cell at a time."""
        net.eval()
        with torch.no_grad():
            return np.concatenate([net.singletons(self.take(number[None])).cpu().numpy() for number in numbers])


def published(slide: Slide, options: Any, folder: Path) -> tuple[float, float, float, float]:
    """Seconds of training and of scoring, scaled to the whole, largest difference to our scores, and their spread."""
    method, labels, context = prepared(options, folder, 0)
    cells = Cells.of(slide, context, None)
    coarse = cells.coarse(labels.coarse(slide))[cells.tissue]
    encoder = method.encoder(context)
    rows = Rows([method.rows(slide, cells, cells.patches(method.params.patch), context)])
    bags = method.bags(rows, coarse, slide.id, context)
    part = bags[: max(1, round(options.fraction * len(bags)))]
    numbers = np.linspace(0, len(rows) - 1, max(2, round(options.fraction * len(rows)))).astype(np.int64)

    again = AsPublished(slide, cells, encoder, method.params.patch)
    net = method.create_net(rows.dim, slide.id, context)
    began = time.perf_counter()
    again.train(net, part, method.params)
    trained = time.perf_counter()
    theirs = again.score(net, numbers)
    scored = time.perf_counter()

    net = method.create_net(rows.dim, slide.id, context)
    method.train(net, rows, part, slide.id, context)
    net.eval()
    with torch.no_grad():
        own = net.singletons(torch.from_numpy(rows.take(numbers)).to(options.device)).cpu().numpy()
    training = (trained - began) * len(bags) / len(part)
    scoring = (scored - trained) * len(rows) / len(numbers)
    return training, scoring, float(np.abs(own - theirs).max()), float(own.std())


def report(first: float, all_five: float, found: tuple[float, float, float, float], options: Any) -> Table:
    """Both ways beside each other."""
    training, scoring, difference, spread = found
    table = Table("", "features kept", "as published", "ratio")
    one = training + scoring
    table.add_row("one annotation", f"{first:.1f} s", f"{one:.1f} s", f"{one / first:.1f} ×")
    table.add_row(
        f"{VERSIONS} annotations", f"{all_five:.1f} s", f"{VERSIONS * one:.1f} s", f"{VERSIONS * one / all_five:.1f} ×"
    )
    table.add_row("of it training, scoring", "", f"{training:.1f} s, {scoring:.1f} s", "")
    table.add_row("measured", "all", f"{options.fraction:.0%} of bags and cells, scaled", "")
    table.add_row("largest difference of scores", "", f"{difference:.1e} (they vary by ±{spread:.1e})", "")
    return table


def main() -> None:
    """Print both ways; exit 1 when the scores differ or a ratio is not reached."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--encoder", default="vgg16")
    parser.add_argument("--side", type=int, default=64, help="input of the encoder, px")
    parser.add_argument("--fc-width", type=int, default=1024)
    parser.add_argument("--cells", type=int, default=1024)
    parser.add_argument("--bags", type=int, default=1000)
    parser.add_argument("--fraction", type=float, default=0.1, help="of bags and cells measured the published way")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slide = painted(folder / "slide.tif", options.cells)
        with console.status("features kept"):
            seconds = ours(slide, options, folder)
        with console.status("as published"):
            found = published(slide, options, folder)
    console.print(report(seconds[0], sum(seconds), found, options))
    training, scoring, difference, _ = found
    one, five = (training + scoring) / seconds[0], VERSIONS * (training + scoring) / sum(seconds)
    if difference > TOLERANCE or one < ONE or five < FIVE:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
