"""Configuration: defaults < preset < YAML file < --set, validated and resolved to RunSpecs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark import run_target
from benchmark.budgets.budget import RunBudget
from benchmark.dataset import Dataset
from benchmark.describe import legal_range
from benchmark.errors import ConfigError
from benchmark.method import Method
from benchmark.near_names import did_you_mean, near_names
from benchmark.plain_yaml import read_yaml, short
from benchmark.seeds import MOST_SEED
from benchmark.setting_faults import OWNERS, explain, refuse_features

V = TypeVar("V")

SYNTHETIC = run_target.SYNTHETIC
SYNTHETIC_SLIDES, FEWEST_SYNTHETIC = 24, 4
"""Slides of a miniature, unless told; the fewest that fill three splits."""
DEFAULT_PRESET, PUBLISHED_PRESET = "quick", "paper"
_REPLACED = ("encoder", "encoder_pretrained", "encoder_weights")
"""Parameters that features made elsewhere leave without a use."""
TRIVIAL_PRESET = "smoke"
"""Shows that everything runs; its figures stand beside no published number."""


@dataclass(frozen=True)
class RunRequest:
    """The options of `bench run`, before anything is looked up."""

    method: str | None = None
    dataset: str | None = None
    preset: str | None = None
    settings: tuple[str, ...] = ()
    config: Path | None = None
    seeds: tuple[int, ...] | None = None
    device: str | None = None
    data: str | None = None
    synthetic_slides: int | None = None
    store: str | None = None
    cache: Path | None = None
    force: bool = False
    debug: bool = False
    jobs: int = 1
    """Runs in parallel, each in a process of its own; 0: in this process, without limits."""
    timeout: str | None = None
    memory: str | None = None
    dry_run: bool = False
    refit: bool = False
    slide: str | None = None
    slides: int | None = None
    calibrate: bool = False
    budget: str | None = None
    """Of labels, several with commas, see `benchmark.budgets`."""
    cost_model: Path | None = None
    """What labels cost, for budgets in minutes."""
    gpus: tuple[int, ...] = ()
    """CUDA devices of this machine, one for each of the `jobs` runs in parallel."""
    on: Path | None = None
    """The engine file, and the runs at a time that were asked for there."""
    workers: int | None = None
    detach: bool = False
    """Leave the runs on a cluster and return."""
    test: str | None = None
    """Another dataset, on which every run is tested besides."""
    test_data: str | None = None
    class_map: str | None = None
    as_is: bool = False


class RunFile(BaseModel):
    """The YAML file of `--config`; every run writes one that repeats it."""

    model_config = ConfigDict(extra="forbid")

    method: str | None = None
    preset: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    dataset: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    slide: str | None = None
    slides: int | None = Field(None, ge=1)
    budget: str | None = None
    label_minutes: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None
    """Counter of the ledger → minutes of an expert, for a budget in minutes."""
    seed: int | None = Field(None, ge=0, le=MOST_SEED)
    refit: bool = False
    calibrate: bool = False
    device: str | None = None
    data: str | None = None
    synthetic_slides: int | None = Field(None, ge=FEWEST_SYNTHETIC)
    test: run_target.RunTarget | None = None
    provenance: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class RunSpec:
    """One run, fully resolved: nothing is left to a default that could change."""

    method: str
    params: BaseModel
    dataset: str
    options: BaseModel
    preset: str
    seed: int
    device: str
    data: str | None
    synthetic_slides: int
    variant: str = ""
    """Settings of the method that differ from its preset, as `V=2`."""
    settings: str = ""
    """Options of the dataset that were set, as `target=malignant`."""
    expected_data: str | None = field(default=None, compare=False)
    refit: bool = False
    """Fit on training and validation slides together, as the winner of a sweep is if `Method.refits`."""
    slide: str | None = None
    """The only slide there is, see `benchmark.one_slide`."""
    slides: int | None = None
    """So many slides of each split at most, see `benchmark.few_slides`."""
    calibrate: bool = False
    """Scale the scores by temperatures that are fitted on validation slides, see `metrics.temperature`."""
    budget: RunBudget | None = None
    label_minutes: tuple[tuple[str, float], ...] = ()
    """Counter of the ledger and minutes of an expert, for a budget in minutes."""
    target: run_target.Target | None = None
    """Tested on the test part of another dataset, see `benchmark.two_sets`."""

    @property
    def title(self) -> str:
        """A name a person can read: `oeem weighting=none quick seed 0`."""
        return " ".join(filter(None, (self.learner, self.settings, self.preset, f"seed {self.seed}")))

    @property
    def learner(self) -> str:
        """The method with its settings: `oeem weighting=none`, or `oeem refit …`."""
        return " ".join(filter(None, (self.method, "refit" if self.refit else "", self.variant)))

    @property
    def place(self) -> str:
        """The dataset with its settings: `glas target=malignant`."""
        return " ".join(filter(None, (self.dataset, self.settings)))

    @property
    def places(self) -> tuple[str | None, ...]:
        """Where its data are: a folder, `synthetic`, or None for the usual folders."""
        return (self.data,) if self.target is None else (self.data, self.target.data)

    def as_file(self, provenance: Mapping[str, Any]) -> str:
        """The YAML text that repeats this run with `bench run --config`."""
        body = {
            "method": self.method,
            "preset": self.preset,
            "params": self.params.model_dump(mode="json"),
            "dataset": self.dataset,
            "options": self.options.model_dump(mode="json"),
            **({"slide": self.slide} if self.slide else {}),
            **({"slides": self.slides} if self.slides else {}),
            **({"budget": self.budget.text} if self.budget else {}),
            **({"label_minutes": dict(self.label_minutes)} if self.label_minutes else {}),
            "seed": self.seed,
            **({"refit": True} if self.refit else {}),
            **({"calibrate": True} if self.calibrate else {}),
            "device": self.device,
            "data": self.data if self.data in (None, SYNTHETIC) else str(Path(self.data).expanduser().absolute()),
            **({"synthetic_slides": self.synthetic_slides} if SYNTHETIC in self.places else {}),
            **({"test": self.target.as_file()} if self.target else {}),
            "provenance": dict(provenance),
        }
        return yaml.safe_dump(body, sort_keys=False, width=120)


@dataclass(frozen=True)
class Variant:
    """A component with settings of its own: `oeem:weighting=lc_mix:aux_weight=0`."""

    name: str
    settings: Mapping[str, Any]

    @property
    def label(self) -> str:
        """As typed on the command line."""
        return ":".join([self.name, *(f"{key}={value}" for key, value in self.settings.items())])


def read_setting(text: str) -> tuple[str, Any]:
    """Split `key=value`; the value is read as YAML, so `[1, 1.5]` is a list, `true` a boolean and `null` None."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        fix = "write it as name=value, for example --set weighting=none"
        raise ConfigError(f"cannot read the setting {text!r}", fix=fix)
    try:
        return key.strip(), read_yaml(value)
    except yaml.YAMLError as error:
        fix = "quote it: --set 'name=\"value\"'"
        told = f": {problem}" if (problem := getattr(error, "problem", None)) else ""
        raise ConfigError(f"the value of --set {short(text)} is not valid YAML{told}", fix=fix) from None


def named_once(settings: Iterable[tuple[str, V]]) -> dict[str, V]:
    """Settings as a mapping. Raises `ConfigError` for a name that is given twice, of which one would be lost."""
    given: dict[str, V] = {}
    for name, value in settings:
        if name in given:
            raise ConfigError(f"{name} is set twice, and only one of its values would count", fix="set it once")
        given[name] = value
    return given


def read_grid(text: str) -> tuple[str, list[Any]]:
    """Split `key=a,b,c` into the name and its values; commas in brackets, braces or quotes belong to a value."""
    key, equals, value = text.partition("=")
    parts = _top_level(value) if equals else []
    if len(parts) < 2:
        name, only = read_setting(text)
        return name, [only]
    return key.strip(), [read_setting(f"{key}={part}")[1] for part in parts]


def _top_level(text: str) -> list[str]:
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if letter == "," and not depth and not quote:
            parts.append("")
            continue
        if letter in "\"'" and quote in ("", letter):
            quote = "" if quote else letter
        depth += (letter in "[{(") - (letter in ")}]") if not quote else 0
        parts[-1] += letter
    return parts


def read_variants(text: str, known: Iterable[str]) -> list[Variant]:
    """Read `a,b:key=value` or `all`."""
    if text.strip() == "all":
        return [Variant(name, {}) for name in known]
    variants = []
    for part in _top_level(text):
        name, *settings = part.strip().split(":")
        if not name:
            raise ConfigError(f"an empty name in {text!r}", fix="bench list")
        variants.append(Variant(name, named_once(map(read_setting, settings))))
    return variants


def read_file(path: Path) -> RunFile:
    """Read a run file, naming the field that is wrong."""
    if not path.is_file():
        raise ConfigError(f"there is no configuration file {path}")
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a YAML file: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds {type(content).__name__}, expected fields such as `method:` and `dataset:`")
    try:
        return RunFile.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"in {path}: {explain(error, RunFile)}") from None


def default_preset(method: type[Method]) -> str:
    """The preset taken when nobody chose one: `quick`, or `paper` of a method that has no `quick`."""
    return DEFAULT_PRESET if DEFAULT_PRESET in method.presets else PUBLISHED_PRESET


def resolve(method: type[Method], preset: str, *layers: Mapping[str, Any]) -> BaseModel:
    """The parameters of a method: its defaults, then the preset, then each layer."""
    if preset not in method.presets:
        hint = did_you_mean(near_names(preset, method.presets, most=1))
        msg = f"{method.name} has no preset {preset!r}; {hint}{' ' * bool(hint)}it has: {', '.join(method.presets)}"
        raise ConfigError(msg, fix=f"bench info {method.name}")
    given = _merged(by_field(method.Params, layer) for layer in layers)
    if "features" in given and "features" not in method.Params.model_fields:
        raise refuse_features([method.name], [])
    params = validated(method.Params, {**method.presets[preset], **given}, method.name)
    if given.get("features") is not None:
        usual = method.Params.model_validate(method.presets[preset])
        for name in _REPLACED:
            if name in given and (value := getattr(params, name)) != getattr(usual, name):
                what = f"{method.name}: {name}={value} has no effect, for features made elsewhere replace the encoder"
                raise ConfigError(what, fix=f"drop --set {name}=…, or --features")
    return params


def validated(model: type[BaseModel], values: Mapping[str, Any], owner: str) -> BaseModel:
    """Validate, or raise `ConfigError` naming the field, what was given, the legal range and the nearest field."""
    try:
        return model.model_validate(by_field(model, values))
    except ValidationError as error:
        raise ConfigError(f"{owner}: {explain(error, model)}", fix=f"bench info {owner}") from None


def by_field(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values; a paper's symbol (`V`, `K`) is replaced by the name of its field."""
    symbols = symbols_of(model)
    return {symbols.get(name, name) if symbols.get(name) not in values else name: values[name] for name in values}


def symbols_of(model: type[BaseModel]) -> dict[str, str]:
    """Symbol → field, for symbols that belong to one field and are not themselves the name of a field."""
    fields: dict[str, list[str]] = {}
    for name, info in model.model_fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, Mapping) and (symbol := str(extra.get("symbol") or "")):
            fields.setdefault(symbol, []).append(name)
    return {
        symbol: names[0] for symbol, names in fields.items() if len(names) == 1 and symbol not in model.model_fields
    }


def share_settings(
    settings: Mapping[str, Any], method: type[Method], dataset: type[Dataset]
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Split `--set` into a method's parameters, a dataset's options and names that neither has.

    `method.x` and `dataset.x` name the owner. A bare name, which may be a paper's symbol, goes to the one that has it.
    Raises `ConfigError` for a bare name that both have, and for two names of one field.
    """
    refuse_ambiguous(settings, [method], [dataset])
    params: list[tuple[str, Any]] = []
    options: list[tuple[str, Any]] = []
    unknown: list[str] = []
    for key, value in settings.items():
        owner, dot, name = key.partition(".")
        owner, name = (owner, name) if dot and owner in OWNERS else ("", key)
        of_method = name in method.Params.model_fields or name in symbols_of(method.Params)
        if owner != "dataset" and (of_method or (name == "features" and owner)):  # `resolve` tells who takes features
            params.append((symbols_of(method.Params).get(name, name), value))
        elif owner != "method" and name in dataset.Options.model_fields:
            options.append((name, value))
        else:
            unknown.append(key)
    return named_once(params), named_once(options), unknown


def refuse_overridden(variant: Variant, own: Iterable[str], given: Iterable[str]) -> None:
    """Raise `ConfigError` for a `--set` of a field that a variant, whose fields are `own`, sets itself."""
    for name in sorted(set(own) & set(given)):
        what = f"{variant.label} sets {name}, and so does --set: variants would lose what tells them apart"
        raise ConfigError(what, fix=f"drop --set {name}=…, or write it into each variant")


def refuse_ambiguous(settings: Iterable[str], chosen: Iterable[type[Method]], places: Iterable[type[Dataset]]) -> None:
    """Raise `ConfigError` for a bare name that is a parameter of one of the methods and an option of a dataset."""
    params = {name: kind for kind in chosen for name in (*kind.Params.model_fields, *symbols_of(kind.Params))}
    options = {name: kind for kind in places for name in kind.Options.model_fields}
    for name in settings:
        if name in params and name in options:
            one, other = params[name], options[name]
            field = symbols_of(one.Params).get(name, name)
            meaning = f"a parameter of {one.name} ({legal_range(one.Params.model_fields[field])})"
            another = f"an option of {other.name} ({legal_range(other.Options.model_fields[name])})"
            msg = f"--set {name} has two meanings: {meaning} and {another}"
            raise ConfigError(msg, fix=f"--set method.{name}=…, or --set dataset.{name}=…")


def _merged(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update(layer)
    return merged
