"""Another dataset that a run is tested on: as a run file has it, and resolved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmark.errors import ConfigError

SYNTHETIC = "synthetic"
"""Where the data are, if they are a miniature that is made when it is not there yet."""


class RunTarget(BaseModel):
    """The part of a run file that says on which other dataset the run is tested."""

    model_config = ConfigDict(extra="forbid")

    dataset: str
    options: dict[str, Any] = Field(default_factory=dict)
    data: str | None = None
    classes: dict[str, str] = Field(default_factory=dict)
    scale: Literal["matched", "as-is"] = "matched"


@dataclass(frozen=True)
class Target:
    """Another dataset, whose test part a run is tested on; see `benchmark.two_sets`.

    `classes`: name of a class there and of its counterpart here. `as_is`: its slides are not rescaled. `label`: the
    dataset with the options that were set, as typed after `--test`.
    """

    dataset: str
    options: BaseModel
    data: str | None
    classes: tuple[tuple[str, str], ...] = ()
    as_is: bool = False
    label: str = ""

    @property
    def settings(self) -> str:
        """As the settings of a board name it: `test=slides map=tumor=lesion`."""
        pairs = ",".join(f"{theirs}={ours}" for theirs, ours in self.classes)
        parts = (f"test={self.label}", f"map={pairs}" * bool(pairs), "scale=as-is" * self.as_is)
        return " ".join(filter(None, parts))

    def as_file(self) -> dict[str, Any]:
        """The part of a run file that repeats it."""
        return {
            "dataset": self.dataset,
            "options": self.options.model_dump(mode="json"),
            "data": self.data if self.data in (None, SYNTHETIC) else str(Path(self.data).expanduser().absolute()),
            "classes": dict(self.classes),
            "scale": "as-is" if self.as_is else "matched",
        }


def require_target(test: str | None, *, data: str | None, classes: str | None, as_is: bool) -> None:
    """Raise `ConfigError` for options of `--test` without it: `--test-data`, `--map`, `--scale`."""
    given = {"--test-data": data, "--map": classes, "--scale": as_is}
    alone = next((option for option, value in given.items() if value), None)
    if alone and test is None:
        raise ConfigError(f"{alone} is given without --test", fix="bench run --train NAME --test NAME")


def target_data(name: str, given: str | None, data: str | None) -> str | None:
    """Where the data of `--test` are: as given, else beside those of `--data`, else in the usual folders."""
    if given is not None or data is None or data == SYNTHETIC:
        return given or data
    return data if (Path(data).expanduser() / name).is_dir() else None
