"""What a command says of presets: which is taken, and when one leaves a chosen encoder without its weights."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from benchmark.config import DEFAULT_PRESET, PUBLISHED_PRESET, RunSpec, default_preset, resolve
from benchmark.learning.encoders.needed import absent, encoders_of, random_starts
from benchmark.method import Method
from benchmark.registry import methods
from benchmark.reporting.run_names import split_settings


def weights_needed(kind: type[Method], preset: str) -> dict[str, str | None]:
    """Encoder → why its weights are not here (None: they are), for all that a preset of a method starts from."""
    params = resolve(kind, preset)
    names = kind(params).starts_from()
    return {name: absent(name) for name in (encoders_of(params) if names is None else names)}


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
        with suppress(Exception):  # a plug-in may raise anything; its run tells of it
            absences = weights_needed(kind, PUBLISHED_PRESET)
            reasons |= {encoder: reason for encoder, reason in absences.items() if reason is not None}
    needs = ", ".join(f"{encoder} (absent: {reason})" for encoder, reason in reasons.items())
    line = f"preset {DEFAULT_PRESET}; the published setting is --preset {PUBLISHED_PRESET}"
    return f"{line}, which needs the weights of {needs}" if needs else line


def random_weights_notes(specs: Iterable[RunSpec]) -> list[str]:
    """A line for each encoder that was chosen by a setting, while the preset gives it random weights."""
    notes: dict[str, None] = {}
    for spec in specs:
        chosen = split_settings(spec.variant)
        for field, encoder in random_starts(spec.params).items():
            if field in chosen and not any(name.endswith("_pretrained") for name in chosen):
                pretrained = f"{field.removesuffix('_backbone')}_pretrained"
                notes[
                    f"note: {field}={encoder} starts from random weights: {pretrained} is false in preset {spec.preset}"
                    f" of {spec.method} (--set {pretrained}=true)"
                ] = None
    return list(notes)


def absent_weights_notes(specs: Iterable[RunSpec]) -> list[str]:
    """A line for each encoder whose weights the runs start from and this machine does not have."""
    names: dict[str, None] = {}
    for spec in specs:
        if getattr(spec.params, "features", None) is not None:
            continue
        try:
            asked = methods().load(spec.method)(spec.params).starts_from()
        except Exception:  # a plug-in may raise anything; its run fails with the reason
            continue
        names |= dict.fromkeys(encoders_of(spec.params) if asked is None else asked)
    reasons = {name: absent(name) for name in names}
    return [f"note: {name} is not on this machine: {reason}" for name, reason in reasons.items() if reason]
