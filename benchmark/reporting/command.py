"""The command that does a run, from what is stored of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def run_command(
    *,
    method: str,
    dataset: str,
    preset: str,
    seeds: Sequence[int],
    variant: str = "",
    settings: str = "",
    refit: bool = False,
    extra: Sequence[str] = (),
) -> str:
    """`bench run …` of one method on one dataset; `variant` and `settings` are labels, `name=value` with blanks."""
    words = ["bench", "run", "--method", method, "--dataset", dataset, "--preset", preset]
    words += ["--seeds", ",".join(map(str, seeds))]
    words += ["--refit"] if refit else []
    for owner, text in (("method", variant), ("dataset", settings)):
        words += [word for setting in split_label(text) for word in ("--set", f"{owner}.{setting}")]
    return shlex.join([*words, *extra])


def split_label(text: str) -> list[str]:
    """The `name=value` parts of a label; a blank inside a value belongs to it."""
    parts: list[str] = []
    for word in text.split(" ") if text else []:
        if "=" in word or not parts:
            parts.append(word)
        else:
            parts[-1] += f" {word}"
    return parts
