"""Which network a weight file belongs to, told from the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

CLASSIFIERS = ("fc.", "_fc.", "fc8.", "linear1000.", "head.", "head_dist.", "classifier.", "last_linear.")
"""How the layers begin that name the classes of the task a network was trained for."""
MOST_TRIED, MOST_NAMED = 60, 3


def architectures_of(state: Mapping[str, Tensor]) -> list[str]:
    """Up to three timm architectures whose tensors, but for the classifier, are those of `state`, in name and shape.

    Networks are built without memory, and only those of the family that the names suggest; may take some seconds.
    """
    import timm
    import torch

    shapes = {name: tuple(value.shape) for name, value in state.items() if not name.startswith(CLASSIFIERS)}
    matches: list[str] = []
    for name in timm.list_models(_pattern(state))[:MOST_TRIED]:
        with torch.device("meta"):
            try:
                network = timm.create_model(name, num_classes=0)
            except (RuntimeError, TypeError, ValueError):
                continue
        if {key: tuple(value.shape) for key, value in network.state_dict().items()} == shapes:
            matches.append(name)
            if len(matches) == MOST_NAMED:
                break
    return matches


def _pattern(state: Mapping[str, Tensor]) -> str:
    """A wildcard of timm names for the family that the tensors' names and shapes suggest."""
    if "pos_embed" in state or ("patch_embed.proj.weight" in state and "cls_token" in state):
        embedding = state.get("cls_token", state.get("pos_embed"))
        width = 0 if embedding is None else int(embedding.shape[-1])
        size = {192: "tiny", 384: "small", 768: "base", 1024: "large", 1280: "huge", 1408: "giant", 1536: "giant"}
        return f"vit_{size.get(width, '')}*"
    if "layer1.0.conv1.weight" in state:
        return "resne*"
    if "conv_stem.weight" in state:
        return "*efficientnet*"
    if "features.0.weight" in state:
        return "vgg*"
    return "swin*" if any(name.startswith("layers.") for name in state) else "dense*"
