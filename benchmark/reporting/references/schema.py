"""The YAML form of a paper's tables. Loads pydantic: import it inside functions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from benchmark.supervision import Supervision

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Words = Annotated[str, Field(min_length=1)]
NO_LABELS = "none"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Paper(_Strict):
    """Who printed the numbers. `name` is the short form that tables show: `Li et al. 2022`."""

    name: Words
    citation: Words
    year: int = Field(ge=1900, le=2100)
    url: str = ""


class Column(_Strict):
    """How the paper prints one of our metrics; in the file the printed name alone will do."""

    printed: Words
    note: str = ""

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, given: Any) -> Any:
        return {"printed": given} if isinstance(given, str) else given


class Value(_Strict):
    """A number; alone, or with what stands after ± (`spread`), an interval and a note."""

    value: Number
    spread: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)] | None = None
    interval: tuple[Number, Number] | None = None
    note: str = ""

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, given: Any) -> Any:
        return given if isinstance(given, dict) else {"value": given}


class Quoted(_Strict):
    """The protocol of a number that the paper took over from elsewhere; ours is measured by the table's."""

    origin: Words
    size: Words
    """Of the images that were scored."""
    split: Words
    metric: Words
    """What the number is, in spite of the table's heading."""
    selection: Words
    """Which weights were scored."""

    @property
    def text(self) -> str:
        """One sentence for tables."""
        return f"{self.origin}: {self.size}; {self.split}; {self.metric}; {self.selection}"


class Entry(_Strict):
    """A row: its printed label, our method where it is that method, the track, and numbers by our metric names."""

    label: Words
    method: Words | None = None
    supervision: str | None = None
    protocol: str = ""
    """What differs from the protocol of the table, as the backbone."""
    quoted: Quoted | None = None
    """Given where the row was not measured by the protocol of the table."""
    note: str = ""
    values: dict[str, Value] = Field(min_length=1)

    @field_validator("supervision")
    @classmethod
    def _track(cls, given: str | None) -> str | None:
        kinds = sorted(kind.value for kind in Supervision)
        parts = [] if given in (None, NO_LABELS) else str(given).split("+")
        if any(part not in kinds for part in parts) or parts != sorted(set(parts)):
            known = ", ".join(kinds)
            raise ValueError(f"expected {NO_LABELS}, or kinds of label in alphabetical order joined by '+': {known}")
        return given


class Table(_Strict):
    """A table on one dataset, or on one part of it (`subset`). `metrics`: our names → the printed headings."""

    id: Words
    dataset: Words | None
    dataset_title: Words
    subset: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None = None
    protocol: Words
    note: str = ""
    metrics: dict[str, Column] = Field(min_length=1)
    rows: list[Entry] = Field(min_length=1)


class PaperFile(_Strict):
    """A whole file."""

    paper: Paper
    tables: list[Table] = Field(min_length=1)
