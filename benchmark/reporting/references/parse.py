"""A YAML file of published numbers, checked against its schema."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import ConfigError

if TYPE_CHECKING:
    from benchmark.reporting.references.schema import PaperFile

FOLDER = Path(__file__).parent
EXAMPLE = f"examples of the form: the YAML files of {FOLDER}"


def parse(path: Path) -> PaperFile:
    """The content of a file. Raises `ConfigError` naming file, table, row and field."""
    from pydantic import ValidationError

    from benchmark.reporting.references.schema import PaperFile

    content = _content(path)
    try:
        return PaperFile.model_validate(content)
    except ValidationError as error:
        mistakes = "; ".join(
            f"{_field(mistake['loc'], content)}: {mistake['msg'].removeprefix('Value error, ')}{_given(mistake)}"
            for mistake in error.errors()
        )
        raise ConfigError(f"{path}: {mistakes}", fix=EXAMPLE) from None


def _content(path: Path) -> Any:
    import yaml

    from benchmark.reporting.references.unique import UniqueKeys

    if not path.is_file():
        raise ConfigError(f"there is no file of published numbers {path}", fix=EXAMPLE)
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a YAML file: {error}", fix=EXAMPLE) from None


def _field(loc: Iterable[int | str], content: Any) -> str:
    """Where a mistake is, with the names of table and row: `tables[0 'Table 1'].rows[2 'OEEM'].values`."""
    text, node = "", content
    for part in loc:
        known = isinstance(node, list) if isinstance(part, int) else isinstance(node, dict) and part in node
        node = node[part] if known else None
        name = (node.get("id") or node.get("label")) if isinstance(node, dict) else None
        text += f"[{part} {name!r}]" if name else f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "the file"


def _given(mistake: Any) -> str:
    given = mistake["input"]
    return "" if isinstance(given, dict | list) else f" (it is {given!r})"
