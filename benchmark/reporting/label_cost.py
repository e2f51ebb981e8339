"""What labels cost an expert, by a model that a user can edit: an estimate beside the counts, never instead of them."""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import ConfigError

SHIPPED = Path(__file__).with_name("label_cost.yaml")

UNKNOWN = "none"
"""Written in place of a counter that has no minutes."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class ItemCost(BaseModel):
    """What items of one kind cost: `minutes` for every `per` of them, and where that number comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: Number = Field(ge=0)
    per: Number = Field(1.0, gt=0)
    source: str = Field(min_length=1)


class CostModel(BaseModel):
    """Minutes of an expert for every counter of `benchmark.supervision.COUNTERS`; None where nobody says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_labels: ItemCost | None
    patch_labels: ItemCost | None
    mask_pixels: ItemCost | None
    coarse_polygons: ItemCost | None
    reviews: ItemCost | None

    def minutes(self, counts: Mapping[str, float]) -> float:
        """Minutes for the totals of a ledger. Raises `ConfigError` for a counter that the model does not have."""
        prices = self.prices()
        unknown = [name for name, count in counts.items() if name not in prices and (count or name not in _names())]
        if unknown:
            raise ConfigError(f"the cost model has no minutes for {unknown[0]!r}; it has: {', '.join(prices)}")
        return fsum(count * prices[name] for name, count in counts.items() if count)

    def prices(self) -> dict[str, float]:
        """Counter → minutes for one item, of those that have a cost."""
        return {name: item.minutes / item.per for name, item in self._items().items() if item is not None}

    def scaled(self, counter: str, times: float) -> CostModel:
        """The model with the minutes of one counter multiplied. Raises `ConfigError` where it has none."""
        item = self._items().get(counter)
        if item is None:
            raise ConfigError(f"the cost model has no minutes for {counter!r}; it has: {', '.join(self.prices())}")
        return self.model_copy(update={counter: item.model_copy(update={"minutes": item.minutes * times})})

    def text(self) -> list[str]:
        """One line per counter for a reader: its rate and the source of it."""
        return [
            f"{name}: no minutes"
            if item is None
            else f"{name}: {item.minutes:g} min {'each' if item.per == 1 else f'per {item.per:,.10g}'}. "
            f"Source: {' '.join(item.source.split())}"
            for name, item in self._items().items()
        ]

    def _items(self) -> dict[str, ItemCost | None]:
        return {name: getattr(self, name) for name in type(self).model_fields}


def _names() -> tuple[str, ...]:
    return tuple(CostModel.model_fields)


def read_cost_model(path: Path | None) -> CostModel:
    """The shipped model; with `path`, its counters in place of the shipped ones.

    A counter of the file replaces the shipped one whole, so that no shipped source stands beside a user's number.
    Raises `ConfigError` naming file and field.
    """
    shipped = _load(SHIPPED)
    if path is None:
        return _model(shipped, SHIPPED)
    return _model({**shipped, **_load(path)}, path)


def _load(path: Path) -> dict[str, Any]:
    import yaml

    from benchmark.plain_yaml import read_yaml

    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _refusal(path, f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise _refusal(path, f"is not a YAML file: {error}") from None
    if not isinstance(content, dict):
        raise _refusal(path, f"holds {type(content).__name__}, expected counters such as `reviews:` with minutes")
    empty = next((name for name, value in content.items() if value is None), None)
    if empty is not None:
        raise _refusal(path, f"{empty} = None is not legal: expected its minutes, or {UNKNOWN} where nobody knows them")
    return {name: None if value == UNKNOWN else value for name, value in content.items()}


def _model(content: Mapping[str, Any], path: Path) -> CostModel:
    try:
        return CostModel.model_validate(content)
    except ValidationError as error:
        raise _refusal(path, "; ".join(map(_mistake, error.errors()))) from None


def _mistake(found: Any) -> str:
    name = ".".join(map(str, found["loc"]))
    if found["type"] == "extra_forbidden":
        model: type[BaseModel] = CostModel if len(found["loc"]) == 1 else ItemCost
        return f"there is no field {name!r}; there are: {', '.join(model.model_fields)}"
    if found["type"] == "missing":
        return f"{name} is missing"
    from benchmark.plain_yaml import short

    return f"{name} = {short(found['input'])} is not legal: {found['msg']}"


def _refusal(path: Path, what: str) -> ConfigError:
    return ConfigError(f"the cost model {path}: {what}", fix=f"cat {SHIPPED}")
