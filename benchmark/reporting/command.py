"""Commands printed for copying: the one that does a run, and printing that never cuts or wraps one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.config import SYNTHETIC, SYNTHETIC_SLIDES
from benchmark.reporting.run_names import split_settings

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text


BUDGET = "budget"
SLIDES = {"slide": "--slide", "slides-drawn": "--slides", BUDGET: "--budget"}
TARGET = {"test": "--test", "map": "--map", "scale": "--scale"}
"""Settings of the data that are options of `bench run`, not of a dataset."""


CALIBRATED = "calibrated=temperature"
"""The setting of a row whose scores are scaled, which is the option `--calibrate`."""


PRICES = "YOUR-COST-MODEL.yaml"
"""Stands in a command for the cost model of a run whose prices are not ours; its config.yaml has them, not the file."""


def run_command(
    *,
    method: str,
    dataset: str,
    preset: str,
    seeds: Sequence[int],
    variant: str = "",
    settings: str = "",
    refit: bool = False,
    extra: Sequence[str] = (),
) -> str:
    """`bench run …` of one method on one dataset; `variant` and `settings` are labels, `name=value` with blanks."""
    words = ["bench", "run", "--method", method, "--dataset", dataset, "--preset", preset]
    words += ["--seeds", ",".join(map(str, seeds))]
    words += ["--refit"] if refit else []
    options, params = split_settings(settings), split_settings(variant)
    name, _, value = CALIBRATED.partition("=")
    words += ["--calibrate"] if params.get(name) == value else []
    params.pop(name, None)
    for name, option in {**SLIDES, **TARGET}.items():
        words += [option, options.pop(name)] if name in options else []
    for owner, values in (("method", params), ("dataset", options)):
        words += [word for name, value in values.items() for word in ("--set", f"{owner}.{name}={value}")]
    return shlex.join([*words, *extra])


def stored_words(tags: Mapping[str, str]) -> list[str]:
    """The options of a stored run besides the settings of method and dataset: data, slide, device, prices."""
    number = tags.get("bench.synthetic_slides", "")
    words = miniature_words(int(number) if number.isdecimal() else None)
    places = (("--data", "bench.data"), ("--test-data", "bench.test_data"))
    for option, tag in (*places, ("--slide", "bench.slide"), ("--device", "bench.asked_device")):
        words += [option, tags[tag]] if tags.get(tag) else []
    prices = tags.get("bench.label_minutes")
    return [*words, *(["--cost-model", PRICES] if prices and prices != _our_prices() else [])]


def _our_prices() -> str:
    """The digest of the shipped minutes per label, as `bench.label_minutes` has it."""
    from benchmark.identity import digest_of
    from benchmark.reporting.label_cost import read_cost_model

    return digest_of(read_cost_model(None).prices())[:8]


def miniature_words(slides: int | None) -> list[str]:
    """The options that make a miniature of so many slides; none for data of a folder."""
    if slides is None:
        return []
    return ["--data", SYNTHETIC, *(["--synthetic-slides", str(slides)] if slides != SYNTHETIC_SLIDES else [])]


def command_text(command: str) -> Text:
    """A command as a line of its own; `show` and `soft_wrap=True` print it whole."""
    from rich.text import Text

    return Text(f"  {command}", "cyan", no_wrap=True, overflow="ignore")


def show(console: Console, *parts: RenderableType) -> None:
    """Print tables and sentences as wide as the console, and commands (`command_text`) whole, however long."""
    from rich.console import Group
    from rich.text import Text

    for part in parts:
        if isinstance(part, Group):
            show(console, *part.renderables)
        elif isinstance(part, Text) and part.overflow == "ignore":
            console.print(part, soft_wrap=True)
        else:
            console.print(part)
