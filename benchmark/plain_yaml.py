"""YAML read as plain values: whatever keeps it from being one is a `yaml.YAMLError` with its line."""

from __future__ import annotations

from reprlib import Repr
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML without its C part: ten times slower, the same result
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

DEEPEST = 50
"""Lists and mappings within each other."""
MOST_BITS = 10_000
"""Of an integer: Python writes none that has more than 4 300 digits."""

LONGEST = 300
"""Characters of a value in a message."""

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 200
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict, _SHORT.maxtuple, _SHORT.maxset = 4, 20, 20, 20, 20


class PlainLoader(_SafeLoader):
    """The safe loader, with everything that it cannot build as a YAML error: `2024-99-99`, `!!int abc`, 5 000 digits.

    Lists and mappings nested deeper than `DEEPEST` are refused.
    """

    _depth = 0

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """As the base class; raises `ConstructorError` alone."""
        try:
            value = super().construct_object(node, deep=deep)
        except yaml.YAMLError:
            raise
        except RecursionError:
            raise _refusal("it is nested too deep", node) from None
        except Exception as error:  # PyYAML passes on whatever `int`, `datetime` or a lookup raises
            kind = str(node.tag).rpartition(":")[2]
            told = str(error) if isinstance(error, ValueError | OverflowError) else f"it is no {kind}"
            raise _refusal(told, node) from None
        if isinstance(value, int) and value.bit_length() > MOST_BITS:
            raise _refusal(f"it is a number of {value.bit_length()} bits", node)
        return value

    def get_single_node(self) -> Any:
        """As the base class, of a document that is not nested too deep."""
        try:
            node = super().get_single_node()
        except RecursionError:
            raise yaml.YAMLError("it is nested too deep") from None
        _require_shallow(node)
        return node

    def get_single_data(self) -> Any:
        """The value of the document; None of an empty one."""
        node = self.get_single_node()
        return None if node is None else self.construct_document(node)


def read_yaml(text: str) -> Any:
    """The value of a YAML document. Raises `yaml.YAMLError`, and nothing else, for what is not one."""
    try:
        return yaml.load(text, Loader=PlainLoader)
    except UnicodeEncodeError:  # bytes of the command line that were no text
        raise yaml.YAMLError("it is not text in UTF-8") from None


def short(value: Any) -> str:
    """A value in a message: its `repr`, cut where it is long, also of an integer too long to be written."""
    if isinstance(value, int) and value.bit_length() > 600:
        return f"a number of {value.bit_length()} bits"
    text = _SHORT.repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _refusal(text: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, text, node.start_mark)


def _require_shallow(root: yaml.Node | None) -> None:
    """Raise unless the document is at most `DEEPEST` deep; every node is met once, however many aliases it has."""
    level: list[yaml.Node] = [] if root is None else [root]
    met: set[int] = set()
    for _ in range(DEEPEST + 1):
        met.update(map(id, level))
        level = [child for node in level for child in _children(node) if id(child) not in met]
        if not level:
            return
    raise _refusal(f"it is nested deeper than {DEEPEST} levels", level[0])


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
