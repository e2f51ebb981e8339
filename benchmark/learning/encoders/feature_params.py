"""Parameters of methods that work on frozen features: where features made elsewhere lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, DirectoryPath

from benchmark.method import Params, param

if TYPE_CHECKING:
    from benchmark.learning.encoders.elsewhere import FeatureFolder, Setting


def _absolute(folder: Path | None) -> Path | None:
    """A run is repeated from its configuration, wherever the command is typed."""
    return None if folder is None else folder.absolute()


class FeatureParams(Params):
    """Base of the parameters of methods on frozen features; `bench run --features FOLDER` sets the first."""

    features: Annotated[DirectoryPath | None, AfterValidator(_absolute)] = param(
        None,
        "folder of features made elsewhere (TRIDENT, CLAM, or .pt with CSV: docs/encoders.md) instead of an encoder's",
        given=True,
    )
    features_missing: Literal["refuse", "drop"] = param(
        "refuse",
        "tissue cells without a row in the files: refuse the run, or leave them without a score, counted in the notes",
        given=True,
    )
    features_patch: int | None = param(
        None, "side of their patches, for files that do not say it", unit="level-0 px", given=True, ge=1
    )


FEATURE_FIELDS = tuple(name for name in FeatureParams.model_fields)


def folder_of(params: FeatureParams, setting: Setting | None = None) -> FeatureFolder | None:
    """The folder that the parameters name, to be put where an encoder would be; None where they name none.

    `setting`: the options with which the method asks for patches of another side and distance.
    """
    from benchmark.learning.encoders.elsewhere import FeatureFolder

    if params.features is None:
        return None
    drop = params.features_missing == "drop"
    return FeatureFolder(params.features, patch=params.features_patch, drop=drop, setting=setting)
