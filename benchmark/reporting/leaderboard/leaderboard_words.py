"""Numbers of a leaderboard as text, the same in the terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Mapping

from benchmark.metrics.catalogue import METRICS
from benchmark.reporting.leaderboard.standings_model import Figure, Row

_COUNTERS = {
    "image_labels": "image labels",
    "patch_labels": "patch labels",
    "mask_pixels": "mask px",
    "coarse_polygons": "polygons",
    "reviews": "reviews",
}


def digits(metric: str) -> int:
    """Decimals of a metric: three for shares, one for percents, points and cells."""
    info = METRICS.get(metric) or METRICS.get(metric.partition("/")[2])
    return 3 if info is None or info.range == (0.0, 1.0) else 1


def number(figure: Figure | None, metric: str, *, full: bool = True) -> str:
    """`0.744 ± 0.010 [0.713, 0.774]`, as much of it as there is, or the mean alone; a dash for no figure."""
    if figure is None:
        return "–"
    places = digits(metric)
    text = f"{figure.mean:.{places}f}"
    if full and figure.std is not None:
        text += f" ± {figure.std:.{places}f}"
    if full and figure.low is not None and figure.high is not None:
        text += f" [{figure.low:.{places}f}, {figure.high:.{places}f}]"
    return text


def count(value: float) -> str:
    """`8 299` as `8.3 k`, millions as `M`."""
    for least, scale, unit in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= least:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.0f}"


def labels(counts: Mapping[str, float]) -> str:
    """What was annotated: `28.7 M mask px`, or `none`."""
    return ", ".join(f"{count(value)} {counter(name)}" for name, value in counts.items()) or "none"


def counter(name: str) -> str:
    """What a counter of the ledger is called."""
    return _COUNTERS.get(name, name)


def minutes(value: float | None) -> str:
    """Minutes of an expert, as hours when there are many."""
    if value is None:
        return "–"
    return f"{value:.0f} min" if value < 600 else f"{value / 60:.0f} h"


def seconds(row: Row) -> str:
    """Wall seconds as if the method had run alone, mean over seeds; `GPU` where it ran on one."""
    total = row.mean("cost/seconds")
    if total is None:
        parts = [row.mean(name) for name in ("cost/fit_seconds", "cost/score_seconds")]
        total = sum(part or 0.0 for part in parts)
    device = " GPU" if row.mean("cost/gpu_seconds") else ""
    return f"{total:.0f}{device}"


def memory(row: Row) -> str:
    """Peak memory in MiB, mean over seeds; that of the GPU behind a plus."""
    host, gpu = row.mean("cost/peak_memory_mib"), row.mean("cost/peak_gpu_memory_mib")
    text = "–" if host is None else f"{host:.0f}"
    return text if gpu is None else f"{text} + {gpu:.0f}"
