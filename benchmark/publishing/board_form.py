"""The form of a published board: its files, what a manifest and a run say, and the columns of its tables.

`docs/published-boards.md` documents it field by field.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

FORM: Final = "histobench board"
VERSION: Final = 1
"""What the manifest says it is; the version is raised when an older reader would misread the folder."""

MANIFEST, RUNS, NUMBERS, SLIDES, UNITS = (
    "manifest.json",
    "runs.json",
    "numbers.parquet",
    "slides.parquet",
    "units.parquet",
)
PARTS = (RUNS, NUMBERS, SLIDES, UNITS)
"""The files that the manifest lists, every one of them."""

ABOUT = "Results of runs of histobench. docs/published-boards.md of its repository documents the form."

LONGEST_TEXT, MOST_RUNS, LARGEST_JSON = 20_000, 100_000, 1 << 28
"""Characters of one text, runs of a board, bytes of a JSON file: more is not read."""

ORIGIN = "bench.published_in"
"""Tag of a run that was read from a published folder, in no store: the name by which the folder is shown."""

OWN_TAGS = frozenset(
    f"bench.{name}"
    for name in ("host", "pid", "pid_started", "alive", "job", "data", "test_data", "numbers", "offline")
)
"""Tags that say something about a machine or a store, not about the result: they are not published."""

TEXTS = ("slide", "subset", "patient", "note", "reading")
"""Columns of the table per slide that hold text, also where all their cells are empty."""

_NEEDED = ("method", "dataset", "preset", "seed", "board", "row", "slides", "identity", "metrics_schema", "data_kind")


class FormError(ValueError):
    """What is read is not of this form; the message goes on after the name of the file."""


def _legible(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"a text of {len(text)} characters, expected at most {LONGEST_TEXT}")
    if any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 or 0xD800 <= ord(letter) < 0xE000 for letter in text):
        raise ValueError(f"control characters in {text[:40]!r}")
    return text


Text = Annotated[str, AfterValidator(_legible)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Part(_Record):
    """A file of the folder: its name, its size in bytes and its digest."""

    path: Text
    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Manifest(_Record):
    """The page that is read first: what the folder is and which files make it."""

    form: Literal["histobench board"]
    version: Literal[1]
    about: Text
    code: Text
    """Version of the program that wrote the folder."""
    metrics_schema: Text
    """Every run was measured by it."""
    files: list[Part]


class PublishedRun(_Record):
    """A finished run: how it was set, and what identifies it. `tags` are those of the store, without `bench.`."""

    id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    name: Text
    experiment: Text
    started: Annotated[int, Field(ge=0, le=1 << 53)]
    ended: Annotated[int, Field(ge=0, le=1 << 53)]
    tags: dict[Text, Text]
    settings: dict[Text, Text]

    def lacking(self) -> list[str]:
        """The tags without which a leaderboard cannot place the run."""
        return [name for name in _NEEDED if not self.tags.get(name)]


def read_json(content: bytes) -> Any:
    """JSON of strangers. Raises `FormError` for names that come twice, NaN, deep nesting, and what is no JSON."""
    if len(content) > LARGEST_JSON:
        raise FormError(f"has {len(content)} bytes, expected at most {LARGEST_JSON}")
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise FormError("is nested too deeply") from None
    except ValueError as error:
        raise FormError(f"is not JSON of this form: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
        raise ValueError(f"the name {twice[:40]!r} comes twice in one object")
    return fields


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def as_json(content: object) -> bytes:
    """The bytes of a JSON file."""
    return (json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode("utf-8")
