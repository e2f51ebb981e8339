"""How a task on a node is heard through a file on a shared disk, and told to end by another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.running.states import State
from benchmark.storage import whole_file


@dataclass(frozen=True)
class FileLine:
    """The node's end, see `node_work.Line`: appends a line per message, and looks for a file that says why to end."""

    path: Path

    def tell(self, kind: str, content: Any) -> None:
        """Append a message."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([kind, content]) + "\n")

    def asked(self) -> tuple[State, str] | None:
        """State and reason when the task is to be given up."""
        try:
            state, reason = json.loads(self._word.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return state, reason

    def ask(self, state: State, reason: str) -> None:
        """The other end's: ask the task to end."""
        with whole_file(self._word) as temporary:
            temporary.write_text(json.dumps([state, reason]), encoding="utf-8")

    @property
    def _word(self) -> Path:
        return self.path.with_suffix(".stop")


class Tail:
    """The command's end: the messages that came since the last look; the last line may still be cut short."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0

    def messages(self) -> Iterator[tuple[str, Any]]:
        """What came since the last look."""
        try:
            if self._path.stat().st_size <= self._at:
                return
            with self._path.open("rb") as stream:
                stream.seek(self._at)
                new = stream.read()
        except FileNotFoundError:
            return
        whole, newline, _ = new.rpartition(b"\n")
        self._at += len(whole) + len(newline)
        for line in whole.splitlines():
            kind, content = json.loads(line)
            yield kind, content
