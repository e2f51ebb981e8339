"""What a command says when nobody chose a preset."""

from __future__ import annotations

from collections.abc import Iterable

from benchmark.config import DEFAULT_PRESET, PUBLISHED_PRESET, default_preset
from benchmark.learning.encoders.needed import weights_needed
from benchmark.registry import methods


def default_preset_note(names: Iterable[str]) -> str | None:
    """One line: the preset taken, and what the published setting of these methods would need.

    None where the methods have the same parameters in both.
    """
    kinds = [methods().load(name) for name in dict.fromkeys(names)]
    kinds = [kind for kind in kinds if kind.presets[default_preset(kind)] != kind.presets[PUBLISHED_PRESET]]
    if not kinds:
        return None
    reasons: dict[str, str] = {}
    for kind in kinds:
        for encoder, reason in weights_needed(kind, PUBLISHED_PRESET).items():
            if reason is not None:
                reasons[encoder] = reason
    needs = ", ".join(f"{encoder} (absent: {reason})" for encoder, reason in reasons.items())
    line = f"preset {DEFAULT_PRESET}; the published setting is --preset {PUBLISHED_PRESET}"
    return f"{line}, which needs the weights of {needs}" if needs else line
