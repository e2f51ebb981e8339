"""Layers, validation messages, and a run file that repeats a run."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from benchmark import config
from benchmark.commands.run import features_setting
from benchmark.config import RunRequest, resolve, share_settings
from benchmark.errors import BenchError, ConfigError, RegistryError
from benchmark.plain_yaml import short
from benchmark.registry import datasets, methods
from benchmark.reporting.run_names import split_settings
from benchmark.running.plan import label_of, plan

OEEM = {"method": "oeem", "dataset": "glas"}


def ask(**changes):
    return plan(RunRequest(**{**OEEM, **changes}))


def test_layers_come_in_order(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("params: {weighting: c_max, aux_weight: 0.1}\nseed: 5\n")
    default = ask()[0].params
    assert ask(preset="quick")[0].params == default != ask(preset="paper")[0].params
    from_file = ask(config=file)[0]
    assert (from_file.params.weighting, from_file.params.aux_weight, from_file.seed) == ("c_max", 0.1, 5)
    over = ask(config=file, settings=("weighting=none",), seeds=(7,))[0]
    assert (over.params.weighting, over.params.aux_weight, over.seed) == ("none", 0.1, 7)


def test_a_run_file_repeats_the_run(tmp_path):
    spec = ask(preset="quick", settings=("weighting=c_max", "validation=0.2"), seeds=(3,), data="synthetic")[0]
    file = tmp_path / "config.yaml"
    file.write_text(spec.as_file({"data_digest": "abc"}))
    again = plan(RunRequest(config=file))[0]
    assert again.params == spec.params and again.options == spec.options
    assert (again.seed, again.preset, again.data, again.expected_data) == (3, "quick", "synthetic", "abc")


def test_matrix_of_variants_and_seeds():
    specs = ask(method="oeem:weighting=lc_mix:aux_weight=0,pspnet", dataset="glas:target=malignant", seeds=(0, 1))
    assert [(spec.method, spec.seed) for spec in specs] == [("oeem", 0), ("oeem", 1), ("pspnet", 0), ("pspnet", 1)]
    assert specs[0].params.weighting == "lc_mix" and specs[0].params.aux_weight == 0
    assert all(spec.options.target == "malignant" for spec in specs)
    assert specs[0].variant == "aux_weight=0.0 weighting=lc_mix" and specs[0].settings == "target=malignant"


def test_all_means_everything_registered():
    names = {spec.method for spec in ask(method="all")}
    assert {"oeem", "cam-seg", "ohem", "pspnet", "constant"} <= names


def test_settings_find_their_owner():
    spec = ask(settings=("target=malignant", "method.patch_side=224", "dataset.unit_side=224"))[0]
    assert (spec.options.target, spec.params.patch_side, spec.options.unit_side) == ("malignant", 224, 224)


def test_a_name_with_two_meanings_is_refused_even_where_each_run_has_one():
    for method in ("oeem", "oeem,pspnet"):
        with pytest.raises(ConfigError, match="two meanings: a parameter of oeem .* and an option of glas") as caught:
            ask(method=method, settings=("presence=0.1,0.2",))
        assert caught.value.fix == "--set method.presence=…, or --set dataset.presence=…"
    assert ask(method="pspnet", settings=("presence=0.1",))[0].options.presence == 0.1


def test_a_setting_of_methods_goes_to_those_that_have_it():
    oeem, pspnet = ask(method="oeem,pspnet", settings=("method.presence=0.1",))
    assert oeem.params.presence == 0.1 and oeem.options == pspnet.options
    assert "presence" not in type(pspnet.params).model_fields and pspnet.variant == ""
    with pytest.raises(ConfigError, match="--set encder: no such field.*'encoder' is one of"):
        ask(method="oeem,pspnet", settings=("method.encder=uni",))


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"settings": ("wieghting=none",)}, "nearest is 'weighting'"),
        ({"settings": ("weighting=strange",)}, "weighting = 'strange' is not legal"),
        ({"settings": ("crop=-4",)}, "crop = -4 is not legal"),
        ({"settings": ("cls_mean=0.5,0.5,0.5",)}, r"expected 3 × .*, written \[0.5,0.5,0.5\]"),
        ({"settings": ("crop=abc",)}, "crop = 'abc' is not legal"),
        ({"settings": ("zzzzqqq=1",)}, "has a field of that name"),
        ({"settings": ("weighting",)}, "name=value"),
        ({"preset": "quik"}, "did you mean 'quick'"),
        ({"device": "gpu"}, "expected auto, cpu, cuda or cuda:N"),
        ({"settings": ("cls_weights=/nope/res38d.pth",)}, "cls_weights: there is no file /nope/res38d.pth"),
        ({"config": "absent.yaml"}, "no configuration file"),
        ({"method": None}, "no method is given"),
        ({"dataset": "glas:validation=7"}, "validation = 7 is not legal"),
        ({"dataset": "glas:tarjet=gland"}, "nearest is 'target'"),
    ],
)
def test_mistakes_are_named(changes, expected, tmp_path):
    if "config" in changes:
        changes = {"config": tmp_path / changes["config"]}
    with pytest.raises(ConfigError, match=expected) as caught:
        ask(**changes)
    assert caught.value.fix or "config" in changes


def test_the_legal_range_is_in_the_message():
    with pytest.raises(ConfigError, match=r"expected .*none.*c_max.*l_norm"):
        ask(settings=("weighting=strange",))


@pytest.mark.parametrize("change, expected", [({"method": "oem"}, "oeem"), ({"dataset": "galas"}, "glas")])
def test_unknown_names_get_a_suggestion(change, expected):
    with pytest.raises(RegistryError, match=f"did you mean.*{expected}"):
        ask(**change)


@pytest.mark.parametrize("text", ["[1, 2", "- a\n- b\n", "metod: oeem\n", "seed: many\n"])
def test_bad_run_files_are_named(text, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(BenchError, match=r"bad\.yaml"):
        ask(config=file)


def test_settings_are_yaml():
    assert config.read_setting("a=[1, 1.5]") == ("a", [1, 1.5])
    assert config.read_setting("a=null") == ("a", None)
    assert config.read_setting("a=1e-3")[1] in (1e-3, "1e-3")


def test_scientific_notation_is_a_number():
    assert ask(settings=("seg_lr=1e-3",))[0].params.seg_lr == yaml.safe_load("0.001")


def test_a_papers_symbol_names_its_field():
    hybrid, slides = methods().load("hybrid"), datasets().load("slides")
    given, options, unknown = share_settings({"V": 2.0, "T": 0.2, "K": 4, "cell": 64, "Q": 1}, hybrid, slides)
    assert given == {"reweight_constant": 2.0, "removal_threshold": 0.2, "top_patches": 4}
    assert (options, unknown) == ({"cell": 64}, ["Q"])
    assert resolve(hybrid, "smoke", {"V": 2.0, "T": 0.3}).removal_threshold == 0.3, "over the preset's own value"
    with pytest.raises(ConfigError, match="reweight_constant"):
        resolve(hybrid, "smoke", {"V": 0.5})


@pytest.mark.parametrize(
    ("method", "setting", "said"),
    [
        ("coarse", "encoder=uni", "'encoder' is one of"),
        ("coarse", "encoer=uni", "'encoder' is one of"),
        ("coarse", "tisue=x", "the nearest is 'tissue_mode' of paip2019"),
        ("dknn", "encoder=unii", r"encoder = 'unii' is not legal: there is no encoder 'unii', .*did you mean 'uni'"),
    ],
)
def test_a_name_that_this_method_lacks_leads_to_those_that_have_it(method, setting, said):
    with pytest.raises(ConfigError, match=said):
        plan(RunRequest(method=method, dataset="paip2019", settings=(setting,)))


UNBUILDABLE = {
    "a number": "!!int abc",
    "a date": "2024-13-45",
    "a time": "!!timestamp x",
    "a boolean": "!!bool x",
    "5 000 digits": "9" * 5000,
    "6 000 hexadecimal digits": "0x" + "f" * 6000,
    "nested by the thousand": "[" * 3000 + "]" * 3000,
    "open brackets": "[" * 50_000,
    "too deep": "[" * 60 + "]" * 60,
    "no UTF-8": "\udcff",
}


@pytest.mark.parametrize("value", UNBUILDABLE.values(), ids=UNBUILDABLE)
def test_a_yaml_value_that_python_cannot_build_is_a_clear_error(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="--set 'value=.*is not valid YAML") as caught:
        config.read_setting(f"value={value}")
    assert len(str(caught.value)) < 500
    file = tmp_path / "run.yaml"
    file.write_bytes(f"method: constant\nparams:\n  value: {value}\n".encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r"run\.yaml is not a YAML file"):
        config.read_file(file)


def test_every_seed_is_a_whole_number_from_zero_to_the_largest(tmp_path: Path) -> None:
    from benchmark.commands.run import chosen_seeds
    from benchmark.seeds import MOST_SEED

    assert chosen_seeds(MOST_SEED, None) == (MOST_SEED,)
    file = tmp_path / "run.yaml"
    for seed in (-1, MOST_SEED + 1):
        with pytest.raises(ConfigError, match="seeds are whole numbers from 0"):
            chosen_seeds(seed, None)
        with pytest.raises(ConfigError, match="seeds are whole numbers from 0"):
            chosen_seeds(None, f"0,{seed}")
        file.write_text(f"seed: {seed}\n")
        with pytest.raises(ConfigError, match="seed = "):
            config.read_file(file)


def test_a_message_shows_a_value_short() -> None:
    assert short(2**9000) == "a number of 9001 bits"
    assert len(short("x" * 10_000)) < 300 and len(short([["y" * 900] * 50] * 50)) < 400


class Folder(BaseModel):
    folder: Path = Path()
    name: str = ""


@pytest.mark.parametrize(
    "text", ["2024-13-45", "[", "!!int abc", "a b", "/a, b", "x=1 name=2", "it's", "/data/f 1", "\N{MICROSCOPE}, 1"]
)
def test_the_label_of_settings_gives_back_what_was_set(text: str) -> None:
    label = label_of(Folder(folder=Path(text), name=text), Folder())
    words = [config.read_grid(f"{name}={value}") for name, value in split_settings(label).items()]
    assert words == [("folder", [text]), ("name", [text])]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": ("aux_weight=0.2", "aux_weight=0.3")}, "aux_weight is set twice"),
        ({"settings": ("aux_weight=0.2", "method.aux_weight=0.3")}, "aux_weight is set twice"),
        ({"method": "hybrid", "settings": ("V=2,4", "reweight_constant=3")}, "reweight_constant is set twice"),
        ({"dataset": "glas:target=gland:target=malignant"}, "target is set twice"),
        (
            {"method": "constant:value=0.1,constant:value=0.2", "settings": ("value=0.3",)},
            "constant:value=0.1 sets value, and so does --set",
        ),
        ({"method": "hybrid:V=2", "settings": ("reweight_constant=3",)}, "hybrid:V=2 sets reweight_constant"),
        ({"dataset": "glas:target=gland", "settings": ("target=malignant",)}, "glas:target=gland sets target"),
    ],
)
def test_what_is_set_twice_is_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        ask(**changes)


def test_a_variant_by_symbol_goes_over_the_run_file(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("params: {reweight_constant: 3}\n")
    assert ask(method="hybrid:V=2", config=file)[0].params.reweight_constant == 2


def test_a_list_in_a_variant_is_not_cut_at_its_commas():
    one, other = ask(method="oeem:cls_mean=[0.5,0.4,0.3],constant")
    assert one.params.cls_mean == (0.5, 0.4, 0.3) and other.method == "constant"


def test_a_folder_with_an_emoji_reads_as_it_was_typed(tmp_path):
    """YAML refuses the pairs of surrogates that JSON writes for it."""
    folder = tmp_path / "slides \N{MICROSCOPE}"
    assert config.read_setting(*features_setting(folder)) == ("method.features", str(folder))


def test_the_size_of_a_miniature_beside_real_data_is_refused():
    with pytest.raises(ConfigError, match="--synthetic-slides 8 has no effect without --data synthetic"):
        ask(synthetic_slides=8, data="/data/glas")
    assert ask(synthetic_slides=8, data="synthetic")[0].synthetic_slides == 8
