"""The weights that the presets of the methods start from."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.doctor.check import Check
from benchmark.errors import RegistryError


def check_weights() -> Iterator[Check]:
    """Per encoder, whether its weights are here: absent ones are a fault for the default preset, else a warning."""
    from benchmark.config import DEFAULT_PRESET, PUBLISHED_PRESET, default_preset
    from benchmark.learning.encoders.needed import remedy
    from benchmark.registry import methods
    from benchmark.running.default_preset import weights_needed
    from benchmark.running.states import reason_of

    users: dict[str, dict[str, list[str]]] = {}
    reasons: dict[str, str | None] = {}
    try:
        names = methods().names()
    except RegistryError:  # check_plugins reports it
        return
    for name in names:
        try:
            kind = methods().load(name)
            for preset in dict.fromkeys((default_preset(kind), PUBLISHED_PRESET)):
                for encoder, reason in weights_needed(kind, preset).items():
                    users.setdefault(encoder, {}).setdefault(preset, []).append(name)
                    reasons[encoder] = reason
        except RegistryError:  # check_plugins reports it
            continue
        except Exception as error:  # a plug-in may raise anything
            yield Check(f"weights of {name}", False, f"it does not say what it needs: {reason_of(error)}")
    for encoder, presets in users.items():
        use = "; ".join(f"{preset} of {', '.join(names)}" for preset, names in presets.items())
        reason = reasons[encoder]
        if reason is None:
            yield Check(f"weights {encoder}", True, use)
        else:
            fault = False if DEFAULT_PRESET in presets else None
            yield Check(f"weights {encoder}", fault, f"{use}: {reason}", remedy(encoder))
