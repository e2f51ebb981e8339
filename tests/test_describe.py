"""Parameters in words."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from benchmark.describe import legal_range, parameters, plain
from benchmark.method import Params, param

Unit = Annotated[float, Field(ge=0, le=1)]


class Some(Params):
    side: int = param(112, "side of a patch", symbol="p", unit="px", source="§3", ge=8, multiple_of=8)
    rate: float = param(0.5, "rate", gt=0, lt=1)
    power: float = param(0.9, "power", gt=0)
    loss: float = param(0, "loss", le=3)
    merge: Literal["vote", "score"] = param("vote", "merge")
    weights: Path | None = param(None, "weights")
    scales: tuple[float, ...] = param((1.0, 1.5), "scales", min_length=1)
    mean: tuple[Unit, Unit, Unit] = param((0.1, 0.2, 0.3), "mean")
    mixed: tuple[int, str] = param((1, "a"), "mixed")
    steps: int | None = param(None, "steps", ge=1)
    flip: bool = param(True, "flip")
    name: str = param("a", "name", pattern="^a")
    anything: list = Field(default_factory=lambda: [1])
    table: dict[str, int] = {}


RANGES = {
    "side": "int ≥ 8, multiple of 8",
    "rate": "float in (0, 1)",
    "power": "float > 0",
    "loss": "float ≤ 3",
    "merge": "vote | score",
    "weights": "path | null",
    "scales": "list of (float), at least 1",
    "mean": "3 × (float in [0, 1])",
    "mixed": "(int, text)",
    "steps": "int ≥ 1 | null",
    "flip": "true | false",
    "name": "text matching ^a",
    "anything": "list of (any)",
    "table": "mapping",
}


@pytest.mark.parametrize("name", RANGES)
def test_legal_range(name):
    assert legal_range(Some.model_fields[name]) == RANGES[name]


def test_parameters_keep_order_notes_and_presets():
    rows = parameters(Some, {"paper": {}, "quick": {"side": 56}, "smoke": {"side": 16, "steps": 1}})
    assert [row.name for row in rows] == list(Some.model_fields)
    side = rows[0]
    assert (side.symbol, side.unit, side.source, side.about) == ("p", "px", "§3", "side of a patch")
    assert side.default == 112 and side.values == {"quick": 56, "smoke": 16}
    assert rows[1].symbol == "" and rows[1].values == {}
    assert next(row for row in rows if row.name == "anything").default == [1]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), (0.1, "0.1"), (1e-4, "0.0001"), ((1.0, 1.5), "[1, 1.5]"), ("a", "a")],
)
def test_plain_values_are_what_one_types(value, text):
    assert plain(value) == text
