"""What the options before the verb say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Session:
    """The global options; `typer.Context.find_object` hands it to a verb."""

    debug: bool = False
