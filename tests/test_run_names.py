"""What runs are called in a table, and commands that are printed whole."""

from rich.console import Console, Group
from rich.table import Table

from benchmark.reporting.command import command_text, run_command, show
from benchmark.reporting.run_names import Component, distinct_names, shared_settings, short_value, split_settings


def names(*variants, preset="quick"):
    runs = [Component("oeem", variant, preset) for variant in variants]
    return [distinct_names(runs)[run] for run in runs]


def test_a_setting_that_all_rows_share_is_left_out_and_can_be_said_once():
    assert names("epochs=4 V=2", "epochs=4 V=3", "epochs=4") == ["oeem V=2 quick", "oeem V=3 quick", "oeem quick"]
    runs = [Component("oeem", "epochs=4 V=2"), Component("pspnet", "epochs=4")]
    assert shared_settings(runs) == "epochs=4" and distinct_names(runs)[runs[1]] == "pspnet"
    assert names("epochs=4") == ["oeem epochs=4 quick"], "alone there is nothing to compare with"
    assert shared_settings(runs[:1]) == ""


def test_a_name_has_three_settings_at_most_those_that_tell_apart_first():
    common = "a=1 b=2 c=3 d=4"
    found = names(common, f"{common} z=9", "")
    assert found == ["oeem a=1 b=2 c=3 +1 quick", "oeem z=9 a=1 b=2 +2 quick", "oeem quick"]
    settings = [f"{common} e={number}" for number in range(3)]
    assert names(*settings, "") == [*(f"oeem e={number} a=1 b=2 +2 quick" for number in range(3)), "oeem quick"]


def test_values_are_shortened_only_as_far_as_names_stay_different():
    assert short_value("/data/weights/vgg16.pth") == "vgg16.pth" and short_value("0.00012345678") == "0.0001235"
    assert short_value("[0.5, 1.25, 2.123456]") == "[0.5, 1.25, 2.123]" and short_value("0.0") == "0.0"
    assert short_value("12345678") == "12345678" and len(short_value("word " * 20)) < 25
    assert names("w=/a/net.pth", "w=/b/net.pth", "w=c.pth") == [
        "oeem w=/a/net.pth quick",
        "oeem w=/b/net.pth quick",
        "oeem w=c.pth quick",
    ]
    assert len(set(names("x=1 y=2", "y=2 x=1"))) == 2, "whatever is stored, no two rows share a name"


def test_refit_and_preset_are_part_of_the_name():
    runs = [Component("oeem", "V=2", "quick", refit=True), Component("oeem", "V=2", "quick"), Component("oeem", "V=2")]
    assert list(distinct_names(runs).values()) == ["oeem refit quick", "oeem quick", "oeem"]
    assert runs[0].label == "oeem refit V=2 quick"


def test_a_blank_in_a_value_belongs_to_it():
    assert split_settings("a=1 b=[1, 2] c=x y") == {"a": "1", "b": "[1, 2]", "c": "x y"} and split_settings("") == {}
    command = run_command(
        method="m", dataset="d", preset="p", seeds=(0, 1), variant="a=[1, 2]", settings="s=x y", refit=True
    )
    assert command.endswith("--seeds 0,1 --refit --set 'method.a=[1, 2]' --set 'dataset.s=x y'")


def test_a_command_is_printed_whole_whatever_the_width():
    command = run_command(method="m", dataset="d", preset="p", seeds=range(60), variant="weights=/" + "long/" * 30)
    console = Console(width=60, highlight=False)
    table = Table("a" * 90)
    with console.capture() as captured:
        show(console, Group(table, command_text(command)), command_text("short"))
    lines = captured.get().splitlines()
    assert f"  {command}" in lines and "  short" in lines
    assert max(len(line) for line in lines if command not in line) <= 60
