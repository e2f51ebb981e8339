"""YAML in which no key may stand twice: of a number written twice, plain YAML silently drops the first."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from benchmark.plain_yaml import PlainLoader


class UniqueKeys(PlainLoader):
    """The plain loader, refusing a repeated key with its line."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """As the base class; raises `ConstructorError` at the second of two equal keys."""
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands here twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
