"""Which key stands for which class: letters of the names, then what a person chose; kept beside the journal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.annotating.reviewing import Refusal
from benchmark.storage import whole_file

RESERVED = frozenset({"a", "u", "z", "y", "s", "m", "o", "?", " "})
"""Keys that the page uses itself, beside those with long names (Enter, Tab, arrows …)."""
LONGEST = 16


class Keys:
    """The keys by `KeyboardEvent.key`, so that they hold on any keyboard layout."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._path, self._names = path, list(names)

    def load(self) -> dict[str, str]:
        """Class → key. What is not in the file, or is not usable there, has its usual key."""
        usual = usual_keys(self._names)
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            return self._checked(content)
        except (OSError, ValueError, Refusal):
            return usual

    def store(self, sent: Any) -> dict[str, str]:
        """Keep all keys. Raises `Refusal` where classes lack one, share one, or take one that the page uses."""
        keys = self._checked(sent)
        with whole_file(self._path) as temporary:
            temporary.write_text(json.dumps(keys, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        return keys

    def _checked(self, sent: Any) -> dict[str, str]:
        if not isinstance(sent, Mapping) or set(sent) != set(self._names):
            raise Refusal(f"expected a key for each of {', '.join(self._names)}", 400)
        keys = {name: sent[name] for name in self._names}
        for name, key in keys.items():
            if not isinstance(key, str) or not 0 < len(key) <= LONGEST or key.lower() in RESERVED:
                raise Refusal(f"{key!r} cannot be the key of {name}", 400)
        if len({key.lower() for key in keys.values()}) < len(keys):
            raise Refusal("two classes have the same key", 400)
        return keys


def usual_keys(names: Sequence[str]) -> dict[str, str]:
    """The first letter of each name that is free, else a digit."""
    keys: dict[str, str] = {}
    for name in names:
        letters = [letter for letter in name.lower() if letter.isalnum()]
        wanted = [*letters, *"123456789", *"bcdefghijklnpqrtvwx"]
        taken = {*keys.values(), *RESERVED}
        keys[name] = next(key for key in wanted if key not in taken)
    return keys
