"""What labels cost an expert, by a model that a user can edit: an estimate beside the counts, never instead of them."""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import ConfigError

SHIPPED = Path(__file__).with_name("label_cost.yaml")

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class ItemCost(BaseModel):
    """What items of one kind cost: `minutes` for every `per` of them, and where that number comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: Number = Field(ge=0)
    per: Number = Field(1.0, gt=0)
    source: str = Field(min_length=1)


class CostModel(BaseModel):
    """Minutes of an expert for every counter of `benchmark.supervision.COUNTERS`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_labels: ItemCost
    patch_labels: ItemCost
    mask_pixels: ItemCost
    coarse_polygons: ItemCost
    reviews: ItemCost

    def minutes(self, counts: Mapping[str, float]) -> float:
        """Minutes for the totals of a ledger. Raises `ConfigError` for a counter that the model does not have."""
        items = self._items()
        unknown = [name for name in counts if name not in items]
        if unknown:
            raise ConfigError(f"the cost model has no minutes for {unknown[0]!r}; it has: {', '.join(items)}")
        return fsum(count * items[name].minutes / items[name].per for name, count in counts.items())

    def text(self) -> list[str]:
        """One line per counter for a reader: its rate and the source of it."""
        return [
            f"{name}: {item.minutes:g} min {'each' if item.per == 1 else f'per {item.per:,.10g}'}. "
            f"Source: {' '.join(item.source.split())}"
            for name, item in self._items().items()
        ]

    def _items(self) -> dict[str, ItemCost]:
        return {name: getattr(self, name) for name in type(self).model_fields}


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
    return content


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
