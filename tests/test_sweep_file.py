"""Sweep files: what they say, what is refused and at which line, and the spaces of the shipped ones and of none."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution
from pydantic import Field, ValidationError, model_validator

from benchmark.config import resolve
from benchmark.errors import ConfigError, StudyError
from benchmark.method import Method, Params, param
from benchmark.metrics.catalogue import METRICS
from benchmark.registry import methods
from benchmark.tuning.declared_space import derived_space
from benchmark.tuning.space import Dimension, Space, categorical, dimension_of
from benchmark.tuning.sweep_reader import read_sweep, shipped, shipped_names, sweep_path
from benchmark.tuning.written_space import base_of, space_of

Scale = Annotated[float, Field(ge=1.0, le=8.0)]


class TryParams(Params):
    rate: float = param(0.1, "rate", source="paper", gt=0.0)
    grown: float = param(4.0, "grown", symbol="V", source="paper", gt=1.0)
    share: float = param(0.5, "share", source="paper", gt=0.0, lt=1.0)
    clamp: float = param(1e-5, "clamp", source="code", gt=0.0, lt=0.5)
    below: float = param(-2.0, "negative, with an upper end", source="paper", le=0.0)
    nothing: float = param(0.0, "zero tells no scale", source="paper", ge=0.0)
    open: float = param(2.0, "no end", source="paper")
    count: int = param(3, "count", symbol="K", source="paper", ge=1)
    inside: int = param(4, "whole, open ends", source="paper", gt=2, lt=9)
    side: int = param(96, "side", unit="px", source="paper", ge=32, multiple_of=32)
    cell: int | None = param(None, "cell", source="paper", ge=16)
    loss: Literal["ce", "focal", "dice"] = param("ce", "loss", symbol="L", source="paper")
    only: Literal["one"] = param("one", "a single value", source="paper")
    freeze: Literal["auto", "yes", "no"] = param("auto", "freeze", source="paper")
    flip: bool = param(True, "flip", source="paper")
    scales: tuple[Scale, ...] = param((1.0, 1.5), "scales", symbol="r", source="paper", min_length=1)
    others: tuple[Scale, ...] = param((1.0,), "other scales", symbol="r", source="paper", min_length=1)
    encoder: str = param("vgg16", "encoder", source="paper")
    batch: int = param(16, "changes no result", ge=1)

    @model_validator(mode="after")
    def _fit(self):
        if self.count > 10 and self.loss == "dice":
            raise ValueError("count and loss do not fit")
        return self


class Try(Method):
    name = "try"
    Params = TryParams
    presets = {"paper": {}, "quick": {}, "smoke": {"count": 1, "loss": "dice"}}


HEAD = "method: try\nobjective: {metric: pixel/miou, direction: maximize}\n"


def load(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return read_sweep(path)


def make(tmp_path, space, head=HEAD):
    loaded = load(tmp_path, f"{head}space:\n{space}")
    return space_of(loaded, Try, base_of(loaded, Try))


def refused(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        loaded = load(tmp_path, text)
        space_of(loaded, Try, base_of(loaded, Try))
    return caught.value


def test_a_file_says_everything(tmp_path):
    loaded = load(
        tmp_path,
        "method: try\ndataset: glas\npreset: smoke\nabout: why\n"
        "objectives:\n- {metric: image/auc, direction: maximize}\n- metric: object/hausdorff\n  direction: minimize\n"
        "params: {flip: false}\noptions: {target: malignant}\n"
        "space:\n  V:\n    type: float\n    low: 2\n    high: 1e1\n    log: true\n"
        "sampler: {kind: nsga2, seed: 3, startup: 4}\ntrials: 7\nseed: 5\nseeds: [1, 2]\n",
    )
    file = loaded.file
    assert (file.method, file.dataset, file.preset, file.about) == ("try", "glas", "smoke", "why")
    assert [(one.metric, one.direction) for one in file.objectives] == [
        ("image/auc", "maximize"),
        ("object/hausdorff", "minimize"),
    ]
    assert (file.params, file.options) == ({"flip": False}, {"target": "malignant"})
    assert (file.sampler.kind, file.sampler.seed, file.sampler.startup) == ("nsga2", 3, 4)
    assert (file.trials, file.seed, file.seeds, loaded.name) == (7, 5, (1, 2), "mine")
    assert (file.space["V"].low, file.space["V"].high, file.space["V"].log) == (2, 10, True)
    assert (loaded.line("space"), loaded.line("space", "V", "high"), loaded.line("space", "V", "nope")) == (11, 15, 12)
    assert (loaded.line("objectives", 1, "direction"), loaded.line("trials"), loaded.line("nope")) == (8, 18, 1)


def test_what_is_left_out(tmp_path):
    loaded = load(tmp_path, HEAD)
    file = loaded.file
    assert (file.dataset, file.preset, file.space, file.trials, file.seed, file.seeds) == (
        *(None, "quick", None),
        *(50, 0, (0,)),
    )
    assert (file.sampler.kind, file.sampler.startup, file.pruner.kind, file.pruner.watch) == ("tpe", 10, "none", None)
    assert loaded.line("objectives", 0, "metric") == 2
    with pytest.raises(ValidationError):
        file.trials = 3


def test_a_pruner(tmp_path):
    pruner = load(tmp_path, HEAD + "pruner: {kind: median, watch: a/b, direction: minimize, warmup: 2}").file.pruner
    assert (pruner.watch, pruner.direction, pruner.startup, pruner.warmup) == ("a/b", "minimize", 5, 2)


ONE = "  V: {type: float, low: 2, high: 8}\n"
BAD_FILES = {
    "no such field": ("spcae: {}", 3, "nearest is 'space'"),
    "no such field inside": ("sampler: {sed: 1}", 3, "nearest is 'seed'"),
    "no such field of a dimension": ("space:\n  V:\n    type: float\n    lwo: 1\n    high: 3", 6, "nearest is 'low'"),
    "empty space": ("space: {}", 3, "empty space"),
    "space of another type": ("space: [V]", 3, "space = "),
    "a range instead of a dimension": ("space:\n  V: [1, 2]", 4, "expected type, low, high"),
    "no type": ("space:\n  V: {low: 1, high: 2}", 4, "space.V.type is missing"),
    "another type": ("space:\n  V: {type: real, low: 1, high: 2}", 4, "float | int | categorical"),
    "reversed": ("space:\n  V:\n    type: float\n    high: 2\n    low: 3", 7, "low = 3 is above high = 2"),
    "equal": ("space:\n  V:\n    type: float\n    low: 3\n    high: 3", 7, "both 3"),
    "no low": ("space:\n  V: {type: float, high: 3}", 4, "needs `low`"),
    "no high": ("space:\n  V: {type: int, low: 3}", 4, "needs `high`"),
    "log from 0": ("space:\n  V:\n    type: float\n    low: 0\n    high: 3\n    log: true", 6, "more than 0"),
    "log and step": ("space:\n  V: {type: float, low: 1, high: 3, log: true, step: 1}", 4, "exclude each other"),
    "log in words": ("space:\n  V: {type: float, low: 1, high: 3, log: 'yes'}", 4, "log = 'yes'"),
    "broken int": ("space:\n  K:\n    type: int\n    low: 1.5\n    high: 3", 6, "whole number"),
    "broken step": ("space:\n  K: {type: int, low: 1, high: 3, step: 0.5}", 4, "whole number"),
    "negative step": ("space:\n  K: {type: int, low: 1, high: 3, step: -1}", 4, "more than 0"),
    "step that misses": ("space:\n  K: {type: int, low: 1, high: 6, step: 2}", 4, "do not lead"),
    "step too wide": ("space:\n  K: {type: int, low: 1, high: 3, step: 9}", 4, "do not lead"),
    "nan": ("space:\n  V:\n    type: float\n    low: .nan\n    high: 3", 6, "finite"),
    "inf": ("space:\n  V:\n    type: float\n    low: 1\n    high: .inf", 7, "finite"),
    "true as a number": ("space:\n  V: {type: float, low: true, high: 3}", 4, "low = True"),
    "text as a number": ("space:\n  V: {type: float, low: '1', high: 3}", 4, "low = '1'"),
    "one choice": ("space:\n  L:\n    type: categorical\n    choices: [ce]", 6, "nothing to choose"),
    "no choices": ("space:\n  L: {type: categorical}", 4, "needs `choices`"),
    "a choice twice": ("space:\n  L:\n    type: categorical\n    choices: [ce, focal, ce]", 6, "twice"),
    "true is 1": ("space:\n  L: {type: categorical, choices: [1, true]}", 4, "twice"),
    "nan among choices": ("space:\n  L: {type: categorical, choices: [1, [.nan]]}", 4, "finite"),
    "a date among choices": ("space:\n  L: {type: categorical, choices: [1, 2024-01-01]}", 4, "neither"),
    "choices with low": ("space:\n  L:\n    type: categorical\n    low: 1\n    choices: [1, 2]", 6, "no `low`"),
    "choices with log": ("space:\n  L: {type: categorical, choices: [1, 2], log: false}", 4, "no `log`"),
    "numbers with choices": ("space:\n  V: {type: float, low: 1, high: 2, choices: [1, 2]}", 4, "no `choices`"),
    "when without values": ("space:\n  V: {type: float, low: 2, high: 8, when: {L: []}}", 4, "no values"),
    "when without a list": ("space:\n  V: {type: float, low: 2, high: 8, when: {L: ce}}", 4, "valid list"),
    "a number as a name": ("space:\n  4: {type: float, low: 2, high: 8}", 4, "valid string"),
    "sampler": ("sampler:\n  kind: grid", 4, "tpe | random | qmc | nsga2"),
    "startup": ("sampler: {startup: 0}", 3, "≥ 1"),
    "pruner that watches nothing": ("pruner:\n  kind: median", 4, "needs `watch`"),
    "pruner that watches no curve": ("pruner: {kind: hyperband, p: 0.1}", 3, "needs `watch`"),
    "p of another pruner": ("pruner:\n  kind: median\n  watch: a\n  p: 0.1", 6, "kind = median has no `p`"),
    "no p": ("pruner: {kind: wilcoxon, p: 1.5}", 3, "p = 1.5"),
    "startup of wilcoxon": ("pruner:\n  kind: wilcoxon\n  startup: 3", 5, "no `startup`"),
    "no bound": ("constraints:\n- metric: image/sensitivity", 4, "no bound for image/sensitivity"),
    "two bounds": ("constraints:\n- {metric: a, at_least: 0.1, at_most: 0.2}", 4, "two bounds for a"),
    "bound in words": ("constraints:\n- metric: a\n  at_least: high", 5, "at_least = 'high'"),
    "bound misspelt": ("constraints:\n- {metric: a, at_lest: 0.1}", 4, "nearest is 'at_least'"),
    "bound twice": (
        "constraints:\n- {metric: a, at_least: 0.1}\n- {metric: a, at_least: 0.2}",
        3,
        "a >= is given twice",
    ),
    "patience in words": ("patience: soon", 3, "patience = 'soon'"),
    "no patience": ("patience: 0", 3, "≥ 1"),
    "trials": ("trials: 0", 3, "≥ 1"),
    "trials in words": ("trials: many", 3, "trials = 'many'"),
    "true trials": ("trials: true", 3, "trials = True"),
    "seed": ("seed: -1", 3, "greater than or equal to 0"),
    "no seeds": ("seeds: []", 3, "a seed or more"),
    "seeds twice": ("seeds: [1, 1]", 3, "twice"),
    "a broken seed": ("seeds:\n- 1\n- -2", 5, "greater than or equal to 0"),
    "both": ("objectives: [{metric: a, direction: maximize}]", 2, "keep one"),
    "params": ("params: [1]", 3, "params = [1]"),
    "twice": ("trials: 3\ntrials: 4", 4, "stands here twice"),
    "no YAML": ("trials: [3\nseed: 4", 4, "not YAML"),
    "tab": ("sampler:\n\tseed: 1", 4, "not YAML"),
    "a tag": ("about: !!python/name:os.system x", 3, "not YAML"),
    "no date": ("about: 2024-99-99", 3, "month"),
    "no number": ("seed: !!int abc", 3, "invalid literal"),
    "itself": ("params: {a: &a [*a]}", 3, "around it"),
    "no text": ("about: \0", 3, "control characters"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused_with_the_line(name, tmp_path):
    text, line, words = BAD_FILES[name]
    message = refused(tmp_path, HEAD + text).what
    assert f"mine.yaml, line {line}: " in message and words in message


def test_a_file_nested_too_deep_is_refused(tmp_path):
    message = refused(tmp_path, HEAD + "params: {a: " + "[" * 20_000 + "]" * 20_000 + "}").what
    assert re.search(r"mine.yaml, line \d: .*(nested too deep|maximum nesting depth)", message)  # of Python, of libyaml


@pytest.mark.parametrize(
    "text, line, words",
    [
        ("", 1, "holds nothing"),
        ("- a\n", 1, "holds list"),
        ("dataset: glas\n", 1, "method is missing"),
        ("method: try\n", 1, "objectives is missing"),
        ("method: ''\nobjectives: []\n", 2, "a metric or more"),
        ("method: try\nobjective: image/auc\n", 2, "expected metric, direction"),
        ("method: try\nobjective:\n  metric: a\n  direction: up\n", 4, "maximize | minimize"),
        ("method: try\nobjective: {metric: '', direction: maximize}\n", 2, "metric = ''"),
        (
            "method: try\nobjectives:\n- {metric: a, direction: maximize}\n- {metric: a, direction: minimize}\n",
            2,
            "a is given twice",
        ),
        (
            "method: try\nobjectives:\n- {metric: a, direction: maximize}\n- {metric: b, direction: minimize}\n"
            "pruner: {kind: hyperband, watch: x}\n",
            5,
            "single objective, there are 2",
        ),
        (
            "method: try\nobjectives:\n- {metric: a, direction: maximize}\n- {metric: b, direction: minimize}\n"
            "patience: 3\n",
            5,
            "patience needs a single objective, there are 2",
        ),
    ],
)
def test_bad_heads_are_refused_with_the_line(text, line, words, tmp_path):
    message = refused(tmp_path, text).what
    assert f"mine.yaml, line {line}: " in message and words in message


def test_every_mistake_has_a_line_of_its_own(tmp_path):
    message = refused(tmp_path, HEAD + "trials: 0\nseed: -1\n").what.splitlines()
    assert ["line 3" in message[0], "line 4" in message[1], len(message)] == [True, True, 2]


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="there is no sweep file"):
        read_sweep(tmp_path / "absent.yaml")
    path = tmp_path / "latin.yaml"
    path.write_bytes(HEAD.encode() + "about: größer".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.yaml, line 3: not UTF-8"):
        read_sweep(path)
    path.write_bytes(b"\xef\xbb\xbf" + HEAD.encode())
    assert read_sweep(path).file.method == "try"


def test_aliases_of_aliases_end(tmp_path):
    first = "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    rows = [f"  a{one}: &a{one} [{', '.join([f'*a{one - 1}'] * 10)}]\n" for one in range(1, 9)]
    assert load(tmp_path, f"{HEAD}params:\n{first}{''.join(rows)}").line("params") == 3


BAD_SPACES = {
    "unknown": ("  lsos: {type: float, low: 1, high: 2}", 4, "nearest is 'loss' (ce | focal | dice)"),
    "far off": ("  zzzzqq: {type: float, low: 1, high: 2}", 4, "no parameter 'zzzzqq'"),
    "symbol of two": ("  r: {type: categorical, choices: [[1], [2]]}", 4, "symbol of scales and others"),
    "name and symbol": (ONE + "  grown: {type: float, low: 2, high: 8}", 5, "grown is V"),
    "float on int": ("  K:\n    type: float\n    low: 1\n    high: 9", 5, "expected type = int"),
    "float on Literal": ("  L: {type: float, low: 1, high: 9}", 4, "expected type = categorical"),
    "int on bool": ("  flip: {type: int, low: 0, high: 1}", 4, "expected type = categorical"),
    "int on text": ("  encoder: {type: int, low: 0, high: 1}", 4, "expected type = categorical"),
    "float on a list": ("  scales: {type: float, low: 0, high: 1}", 4, "expected type = categorical"),
    "choice": ("  L:\n    type: categorical\n    choices:\n    - ce\n    - bce", 8, "'bce' is not legal"),
    "choice of another type": ("  K: {type: categorical, choices: ['3', 4]}", 4, "'3' is of another type"),
    "true for a number": ("  K: {type: categorical, choices: [true, 3]}", 4, "True is of another type"),
    "1 for true": ("  flip: {type: categorical, choices: [1, 0]}", 4, "1 is of another type"),
    "choice inside": ("  scales: {type: categorical, choices: [[1.0, 1.5], [0.5]]}", 4, "[0.5] is not legal"),
    "yes": ("  freeze: {type: categorical, choices: [auto, yes]}", 4, "quote them"),
    "low end": ("  V:\n    type: float\n    low: 1\n    high: 9", 6, "low of V: 1.0 is not legal; expected float > 1"),
    "high end": ("  share:\n    type: float\n    low: 0.1\n    high: 1.0", 7, "high of share"),
    "multiple": ("  side: {type: int, low: 32, high: 128}", 4, "a step that is a multiple of 32"),
    "odd step": ("  side:\n    type: int\n    low: 32\n    high: 128\n    step: 48", 8, "multiple of 32"),
    "odd low": ("  side: {type: int, low: 40, high: 104, step: 32}", 4, "low of side: 40 is not legal"),
    "published above": ("  V: {type: float, low: 1.5, high: 3}", 4, "must include 4.0, the value of the preset quick"),
    "published off the steps": (
        "  K: {type: int, low: 2, high: 6, step: 2}",
        4,
        "must include 3, the value of the preset quick",
    ),
    "published no choice": (
        "  L: {type: categorical, choices: [focal, dice]}",
        4,
        "must include 'ce', the value of the preset quick",
    ),
    "published null": ("  cell: {type: int, low: 16, high: 64}", 4, "null among the choices"),
    "when unknown": ("  V: {type: float, low: 2, high: 8, when: {lost: [ce]}}", 4, "nearest is 'loss'"),
    "when itself": ("  V: {type: float, low: 2, high: 8, when: {grown: [4]}}", 4, "conditional on itself"),
    "when by two names": ("  V: {type: float, low: 2, high: 8, when: {L: [ce], loss: [ce]}}", 4, "twice"),
    "when not legal": ("  V:\n    type: float\n    low: 2\n    high: 8\n    when:\n      L: [bce]", 9, "'bce'"),
    "when never": ("  V: {type: float, low: 2, high: 8, when: {L: [dice]}}", 4, "never searched: L is 'ce'"),
    "when not searched": (
        "  L: {type: categorical, choices: [ce, focal]}\n  V: {type: float, low: 2, high: 8, when: {loss: [dice]}}",
        5,
        "not searched; loss: ce | focal",
    ),
    "when out of the range": (
        "  K: {type: int, low: 1, high: 8}\n  V: {type: float, low: 2, high: 8, when: {K: [9]}}",
        5,
        "not searched; K: 1 … 8",
    ),
    "circle": (
        "  flip: {type: categorical, choices: [true, false], when: {L: [ce]}}\n"
        "  L: {type: categorical, choices: [ce, focal], when: {K: [3]}}\n"
        "  K: {type: int, low: 1, high: 8, when: {flip: [true]}}",
        4,
        "depend on each other",
    ),
}


@pytest.mark.parametrize("name", BAD_SPACES)
def test_bad_spaces_are_refused_with_the_line(name, tmp_path):
    text, line, words = BAD_SPACES[name]
    error = refused(tmp_path, f"{HEAD}space:\n{text}\n")
    assert f"mine.yaml, line {line}: " in error.what and words in error.what
    assert error.fix == "bench info try"


@pytest.mark.parametrize(
    "text, line, words",
    [
        ("params: {V: 3}\nspace:\n" + ONE, 5, "V is fixed under `params`"),
        ("params:\n  grown: 3\nspace:\n" + ONE, 6, "V is fixed under `params`"),
        ("params:\n  flip: true\n  lsos: ce\nspace:\n" + ONE, 5, "nearest is 'loss'"),
        ("params:\n  flip: true\n  V: 1\nspace:\n" + ONE, 5, "expected float > 1"),
        ("params:\n  count: 20\n  loss: dice\nspace:\n" + ONE, 3, "do not fit"),
        ("preset: smke\nspace:\n" + ONE, 3, "did you mean 'smoke'"),
        (
            "params:\n  V: 9\nspace:\n  K: {type: int, low: 4, high: 8}\n",
            6,
            "must include 3, the value of the preset quick",
        ),
    ],
)
def test_fixed_parameters_and_presets(text, line, words, tmp_path):
    message = refused(tmp_path, HEAD + text).what
    assert f"mine.yaml, line {line}: " in message and words in message


CONDITIONAL = """\
  K: {type: int, low: 2, high: 5, when: {flip: [true], V: [4, 8]}}
  flip: {type: categorical, choices: [true, false], when: {L: [ce, focal], encoder: [vgg16, vgg19]}}
  V: {type: float, low: 2, high: 8, step: 0.5}
  L: {type: categorical, choices: [ce, focal, dice]}
  scales: {type: categorical, choices: [[1.0, 1.5], [1], [1, 2]]}
  cell: {type: categorical, choices: [null, 16, 32]}
  rate: {type: float, low: 1e-3, high: 1, log: true}
"""


def test_a_space(tmp_path):
    space = make(tmp_path, CONDITIONAL)
    assert [one.name for one in space] == ["grown", "loss", "flip", "count", "scales", "cell", "rate"]
    assert len(space) == 7 and "count" in space and "side" not in space
    scales = space["scales"]
    assert scales.distribution.choices == ("[1.0, 1.5]", "[1.0]", "[1.0, 2.0]")
    assert scales.value("[1.0]") == [1.0] and scales.label((1.0, 2.0)) == "[1.0, 2.0]"
    assert space["cell"].distribution.choices == (None, 16, 32)
    assert space["flip"].distribution.choices == (True, False)
    assert space["grown"].distribution == FloatDistribution(2, 8, step=0.5)
    assert space["rate"].distribution == FloatDistribution(1e-3, 1, log=True)
    assert space["count"].distribution == IntDistribution(2, 5)
    with pytest.raises(ValueError, match="is none of"):
        scales.value("[3.0]")
    assert space.published(TryParams()) == {
        **{"grown": 4.0, "loss": "ce", "flip": True, "count": 3, "scales": [1.0, 1.5], "cell": None, "rate": 0.1}
    }
    assert set(space.published(TryParams(loss="dice"))) == {"grown", "loss", "scales", "cell", "rate"}
    assert [row[:2] for row in space.table()] == [
        ("grown (V)", "2 … 8 (step 0.5)"),
        ("loss (L)", "ce | focal | dice"),
        ("flip", "true | false when loss=ce | focal, encoder=vgg16 | vgg19"),
        ("count (K)", "2 … 5 when flip=true, grown=4 | 8"),
        ("scales (r)", "[1, 1.5] | [1] | [1, 2]"),
        ("cell", "null | 16 | 32"),
        ("rate", "0.001 … 1 (log)"),
    ]
    assert [row[2] for row in space.table()] == ["4", "ce", "true", "3", "[1, 1.5]", "null", "0.1"]


def test_conditions(tmp_path):
    space = make(tmp_path, CONDITIONAL)
    flip, count = space["flip"], space["count"]
    assert space.active(space["rate"], {})
    assert space.active(flip, {"loss": "focal"}) and not space.active(flip, {"loss": "dice"})
    assert not space.active(flip, {}), "its parent does not count"
    assert space.active(count, {"flip": True, "grown": 8.0}) and not space.active(count, {"flip": True, "grown": 2.5})
    assert not space.active(count, {"flip": 1, "grown": 8.0}), "1 is not true"
    fixed = make(tmp_path, ONE.replace("8}", "8, when: {K: [1, 3], scales: [[1, 1.5]]}}"))
    assert fixed.active(fixed["grown"], {})


def test_facts_are_json_from_which_the_space_comes_back(tmp_path):
    space = make(tmp_path, CONDITIONAL)
    facts = space.facts()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts == make(tmp_path, CONDITIONAL).facts()
    assert [dimension_of(json.loads(json.dumps(one))) for one in facts] == [replace(one, symbol="") for one in space]
    with pytest.raises(StudyError, match="a study of an earlier version"):
        dimension_of({"name": "a", "kind": "float", "low": 0, "high": 1})
    narrower = make(tmp_path, CONDITIONAL.replace("high: 1,", "high: 0.5,")).facts()
    assert narrower != facts and narrower[:-1] == facts[:-1]


def test_an_int_space_on_a_float(tmp_path):
    space = make(tmp_path, "  V: {type: int, low: 2, high: 8}\n")
    value = space.published(TryParams())["grown"]
    assert (value, type(value)) == (4, int)
    with pytest.raises(ConfigError, match=r"must include 4\.5"):
        space_of(read_sweep(tmp_path / "mine.yaml"), Try, TryParams(grown=4.5))


def test_lists_and_texts_are_told_apart():
    with pytest.raises(ValueError, match="is none of"):
        categorical("a", ([1.0], "b")).label("c")
    assert categorical("a", (False, None, 2)).value(False) is False


class TestDerived:
    def test_the_rule(self):
        space = derived_space(Try, TryParams())
        assert {one.name: one.distribution for one in space if not one.choices} == {
            "rate": FloatDistribution(0.025, 0.4, log=True),
            "grown": FloatDistribution(1.03, 16.0, log=True),
            "share": FloatDistribution(0.005, 0.995),
            "clamp": FloatDistribution(1e-7, 0.495, log=True),
            "below": FloatDistribution(-8.0, -0.5),
            "count": IntDistribution(1, 12, log=True),
            "inside": IntDistribution(3, 8),
            "side": IntDistribution(32, 384, step=32),
        }
        assert {one.name: one.choices for one in space if one.choices} == {
            "loss": ("ce", "focal", "dice"),
            "freeze": ("auto", "yes", "no"),
            "flip": (False, True),
        }

    def test_it_stands_in_for_a_space_left_out(self, tmp_path):
        loaded = load(tmp_path, HEAD + "params: {V: 3, share: 0.25}\n")
        base = base_of(loaded, Try)
        names = {one.name for one in space_of(loaded, Try, base)}
        assert names == {one.name for one in derived_space(Try, base)} - {"grown", "share"}

    def test_nothing_to_search(self):
        with pytest.raises(ConfigError, match="constant declares no range to search; write a space"):
            derived_space(methods().load("constant"), resolve(methods().load("constant"), "paper"))

    @pytest.mark.parametrize("name", methods().names())
    def test_every_method(self, name):
        method = methods().load(name)
        for preset in method.presets:
            base = resolve(method, preset)
            try:
                space = derived_space(method, base)
            except ConfigError as error:
                assert "declares no range" in error.what
                continue
            point = space.published(base)
            assert set(point) == {one.name for one in space}
            assert all(one.holds(point[one.name]) for one in space)
            assert method.Params.model_validate({**base.model_dump(), **point}) == base
            assert len(space.table()) == len(space.facts()) == len(space)


def drawn(space, random):
    """Any point of a space, as a study would choose it; often at an end."""
    point = {}
    for one in space:
        if not space.active(one, point):
            continue
        values = one.distribution
        if one.choices:
            point[one.name] = one.value(random.choice(values.choices))
        elif values.step is not None:
            point[one.name] = values.low + values.step * random.randint(
                0, round((values.high - values.low) / values.step)
            )
        else:
            point[one.name] = random.choice([values.low, values.high, random.uniform(values.low, values.high)])
        assert one.holds(point[one.name])
    return point


@pytest.mark.parametrize("name", [name for name in methods().names() if name not in ("coarse", "constant")])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=50)
def test_any_point_of_a_derived_space_is_legal(name, seed):
    method, random = methods().load(name), Random(seed)
    preset = random.choice(sorted(method.presets))
    base = resolve(method, preset)
    if (name, preset) not in SPACES:
        SPACES[name, preset] = derived_space(method, base)
    accepted(method, base, drawn(SPACES[name, preset], random))


SPACES: dict[tuple[str, str], Space] = {}


def accepted(method, base, point, objections=True):
    try:
        method.Params.model_validate({**base.model_dump(), **point})
    except ValidationError as error:
        assert objections
        assert {(mistake["type"], mistake["loc"]) for mistake in error.errors()} == {("value_error", ())}


class TestShipped:
    def test_which(self):
        assert {"hybrid", "lcmil", "oeem"} <= set(shipped_names())
        assert shipped("hybrid").is_file() and shipped("nope") is None and shipped("../methods/hybrid") is None

    def test_paths(self, tmp_path):
        own = tmp_path / "own.yaml"
        own.write_text(HEAD)
        assert (
            sweep_path("oeem") == shipped("oeem") and sweep_path(str(own)) == own and sweep_path("own.yaml").is_file()
        )
        with pytest.raises(ConfigError, match="no sweep 'hibrid'; did you mean hybrid.*shipped are: .*oeem"):
            sweep_path("hibrid")
        with pytest.raises(ConfigError, match=r"no file 'folder/lcmil.yml'; did you mean lcmil"):
            sweep_path("folder/lcmil.yml")
        with pytest.raises(ConfigError, match="shipped are"):
            sweep_path(str(tmp_path))

    @pytest.mark.parametrize("name", shipped_names())
    def test_every_sweep(self, name):
        loaded = read_sweep(sweep_path(name))
        method = methods().load(loaded.file.method)
        assert loaded.name == name and loaded.file.about and loaded.file.space
        for objective in loaded.file.objectives:
            up = METRICS[objective.metric].direction
            assert objective.direction == {"up": "maximize", "down": "minimize"}[up]
        for preset in method.presets:
            base = resolve(method, preset, loaded.file.params)
            space = space_of(loaded, method, base)
            point = space.published(base)
            assert point and all(space[one].holds(value) for one, value in point.items())
        assert base_of(loaded, method) == resolve(method, loaded.file.preset, loaded.file.params)

    @pytest.mark.parametrize("name", shipped_names())
    def test_any_point_is_legal(self, name):
        loaded = read_sweep(sweep_path(name))
        method = methods().load(loaded.file.method)
        base = base_of(loaded, method)
        space = space_of(loaded, method, base)
        for seed in range(50):
            accepted(method, base, drawn(space, Random(seed)), objections=False)

    def test_what_the_papers_publish(self):
        found = {}
        for name in ("hybrid", "lcmil", "oeem"):
            loaded = read_sweep(sweep_path(name))
            method = methods().load(name)
            found[name] = space_of(loaded, method, base_of(loaded, method)).published(resolve(method, "paper"))
        assert found["hybrid"] == {
            **{"reweight_constant": 4.0, "removal_threshold": 0.4, "top_patches": 16},
            **{"ratio_fine": 2.0, "ratio_pseudo": 1.0},
        }
        assert (found["lcmil"]["gamma"], found["lcmil"]["gamma_low"], found["lcmil"]["bag_mean"]) == (None, 5.0, 10)
        assert found["oeem"]["weighting"] == "l_norm" and "normalise_weights" not in found["oeem"]
        assert found["oeem"]["cam_scales"] == [1.0, 1.25, 1.5, 1.75, 2.0]


@pytest.mark.parametrize(
    "value, held", [(True, False), ("3", False), (None, False), (3, True), (2.5, False), (9, False)]
)
def test_what_a_range_holds(value, held):
    assert Dimension("a", IntDistribution(1, 7)).holds(value) is held
    assert not Dimension("a", FloatDistribution(1.0, 7.0)).holds(math.nan)


def test_no_space_is_derived_from_what_is_given():
    """Labels, weights and networks are what there is to work with; more of them would win every sweep."""
    method = methods().load("hybrid")
    names = {one.name for one in derived_space(method, resolve(method, "paper"))}
    assert {"reweight_constant", "removal_threshold", "top_patches"} <= names
    assert not {"fine_patches", "fine_negatives", "encoder_pretrained", "nets", "ensemble", "patch"} & names


@pytest.mark.parametrize("name", methods().names())
def test_no_method_searches_whether_it_has_weights(name):
    method = methods().load(name)
    told = [field for field in method.Params.model_fields if field.endswith(("_pretrained", "backbone", "encoder"))]
    if told:
        searched = {one.name for one in derived_space(method, resolve(method, "paper"))}
        assert not searched & set(told)


def test_a_file_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "sweep.yaml").touch()
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigError, match=r"the sweep file .*sweep.yaml cannot be read: Permission denied"):
        read_sweep(tmp_path / "sweep.yaml")
