"""Published numbers: what ships is right and complete, and a user's own file is checked as strictly."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import ConfigError
from benchmark.metrics.catalogue import METRICS
from benchmark.reporting import references as package
from benchmark.reporting.references import references

FOLDER = Path(package.__file__).parent
PAPERS = {
    "glas_later.yaml": "Khan et al. 2025",
    "hnm.yaml": "Huang et al. 2024",
    "hybrid.yaml": "Li et al. 2021",
    "interactive.yaml": "Interactive annotation 2021",
    "lcmil.yaml": "Wang et al. 2021",
    "maa.yaml": "Liu et al. 2025",
    "oeem.yaml": "Li et al. 2022",
}


def one(**wanted):
    found = [entry for entry in references() if all(getattr(entry, key) == value for key, value in wanted.items())]
    assert len(found) == 1, (wanted, found)
    return found[0]


def own(tmp_path, *, values=None, rows=None, text=None, **table):
    rows = rows or [{"label": "X", "values": values or {"pixel/miou": 0.5}}]
    body = {
        "id": "Table 9",
        "dataset": "glas",
        "dataset_title": "GlaS",
        "protocol": "test",
        "metrics": {},
        "rows": rows,
    }
    body["metrics"] = {name: "as printed" for row in rows for name in row["values"]}
    paper = {"name": "Own 2025", "citation": "Own", "year": 2025}
    path = tmp_path / "own.yaml"
    path.write_text(text or yaml.safe_dump({"paper": paper, "tables": [{**body, **table}]}))
    return path


def test_every_shipped_file_is_loaded_in_a_fixed_order():
    assert {path.name for path in FOLDER.glob("*.yaml")} == set(PAPERS)
    assert list(dict.fromkeys(entry.paper for entry in references())) == list(PAPERS.values())
    assert references() is references()


def test_every_number_is_in_the_range_of_its_metric_and_says_how_it_was_measured():
    for entry in references():
        assert entry.protocol and entry.dataset_title and entry.source, entry
        if entry.metric.startswith("other/"):
            continue
        low, high = METRICS[entry.metric].range
        assert low <= entry.value <= high, entry
        assert METRICS[entry.metric].unit != "%" or entry.value > 1, f"{entry.place} looks like a share"


def test_no_number_is_there_twice():
    places = [entry.place for entry in references()]
    assert len(places) == len(set(places))


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        ({"source": "Table 1", "label": "OEEM", "metric": "pixel/miou"}, 0.7756),
        ({"source": "Table 1", "label": "OEEM", "metric": "pixel/dice_from_miou"}, 0.8736),
        ({"source": "README", "label": "OEEM, reproduced by others"}, 0.7648),
        ({"source": "README", "label": "MPFP"}, 0.8044),
        ({"source": "abstract", "label": "MAA", "metric": "pixel/miou"}, 0.8199),
        ({"source": "Table 1", "method": "pspnet", "metric": "pixel/f1_macro"}, 0.9324),
        ({"source": "Table 1", "label": "UCTransNet", "metric": "pixel/miou"}, 0.8224),
        ({"source": "Table 2", "label": "SEAM", "metric": "other/CAM"}, 0.5203),
        ({"source": "Table 3", "label": "lc_mix"}, 0.7719),
        ({"source": "Table I", "dataset": "paip2020", "method": "lcmil", "metric": "slide/mis_modified"}, 10.7),
        ({"source": "Table I", "dataset": "paip2019", "method": "coarse", "metric": "slide/tpr"}, 0.758),
        ({"subset": "valid", "dataset": "paip2019", "method": "lcmil", "metric": "slide/f1"}, 0.899),
        ({"source": "notebook", "label": "LC-MIL", "metric": "slide/f1"}, 0.954),
        ({"source": "Table 2", "method": "hybrid", "metric": "image/auc"}, 0.9906),
        ({"source": "Table 2", "method": "topk-mil", "metric": "image/specificity_at_100"}, 0.8040),
        ({"source": "Table 2", "label": "pixel-level", "metric": "other/Threshold"}, 0.0041),
        ({"source": "text", "metric": "image/specificity_at_100"}, 0.9049),
        ({"dataset": "camelyon16", "method": "hnm", "metric": "image/auc"}, 0.9604),
        ({"subset": "STK11", "method": "hnm"}, 0.7396),
        ({"dataset": "bach", "metric": "other/F1 (macro)"}, 0.94),
        ({"dataset": "nct-crc-he", "metric": "other/Reviewed patches"}, 4000),
    ],
)
def test_numbers_read_off_the_papers(wanted, value):
    assert one(**wanted).value == value


def test_spread_subset_track_and_notes_arrive():
    cleaned = one(source="Table I", dataset="camelyon16", method="lcmil", metric="slide/cleaned")
    assert (cleaned.value, cleaned.spread, cleaned.supervision) == (75.8, 11.1, "coarse")
    hand_drawn = one(subset="invalid", dataset="camelyon16", method="dknn", metric="slide/accuracy")
    assert (hand_drawn.stored, hand_drawn.value) == ("invalid/slide/accuracy", 0.866)
    f1 = one(source="Table 1", method="cam-seg", metric="pixel/f1_macro")
    assert "not a target" in f1.note and "83.90" in f1.note and f1.stored == "pixel/f1_macro"


def test_quoted_numbers_say_by_which_protocol_they_were_measured():
    quoted = {entry.method: entry for entry in references() if entry.source == "Table 1" and entry.quoted}
    assert set(quoted) == {"unet", "res-unet", "medt", "kiu-net", "uctransnet"}
    assert not any(entry.comparable for entry in quoted.values())
    assert "128 x 128" in quoted["medt"].quoted and "gland alone" in quoted["unet"].quoted
    assert "five folds" in quoted["uctransnet"].quoted
    assert one(source="Table 1", method="pspnet", metric="pixel/miou").comparable


def test_dice_of_oeem_follows_from_its_miou():
    """Each is printed to two decimals of a percent; one row was cut instead of rounded."""
    pairs = {}
    for entry in references():
        if entry.metric in ("pixel/miou", "pixel/dice_from_miou") and entry.paper == "Li et al. 2022":
            pairs.setdefault((entry.source, entry.label, entry.supervision), {})[entry.metric] = entry.value
    pairs = {row: values for row, values in pairs.items() if len(values) == 2}
    assert len(pairs) == 11 + 4
    for row, values in pairs.items():
        miou = values["pixel/miou"]
        assert values["pixel/dice_from_miou"] == pytest.approx(2 * miou / (1 + miou), abs=1.01e-4), row


def test_accuracy_of_table_one_follows_from_cleaned_and_mis_modified():
    """after = before + cleaned (1 - before) - mis (before), up to averaging over slides."""
    for dataset in ("camelyon16", "paip2019", "paip2020"):
        rows = {
            (entry.method, entry.metric): entry.value
            for entry in references()
            if entry.source == "Table I" and entry.dataset == dataset
        }
        before = rows["coarse", "slide/accuracy"]
        for method in ("dknn", "lcmil"):
            gain = (
                rows[method, "slide/cleaned"] / 100 * (1 - before) - rows[method, "slide/mis_modified"] / 100 * before
            )
            assert rows[method, "slide/accuracy"] == pytest.approx(before + gain, abs=0.03)


def test_the_own_file_comes_after_the_shipped_ones(tmp_path):
    values = {"pixel/miou": 0.8, "image/auc": {"value": 0.9, "interval": [0.8, 0.95]}, "other/Kappa": -3}
    found = references(own(tmp_path, values=values, subset="testA"))
    assert found[: len(references())] == references()
    miou, auc, kappa = sorted(
        found[len(references()) :], key=lambda entry: ("pix", "ima", "oth").index(entry.metric[:3])
    )
    assert (miou.stored, miou.paper, miou.value) == ("testA/pixel/miou", "Own 2025", 0.8)
    assert auc.interval == (0.8, 0.95) and kappa.value == -3


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"datset": "glas"}, ["tables[0 'Table 9'].datset", "Extra inputs"]),
        ({"protocol": None}, ["tables[0 'Table 9'].protocol"]),
        ({"subset": "test A"}, [".subset", "'test A'"]),
        ({"values": {"pixel/miou": 77.56}}, ["'X', pixel/miou = 77.56", "[0, 1] (share)", "0.7756"]),
        ({"values": {"slide/cleaned": 101.0}}, ["slide/cleaned = 101", "[0, 100] (%)"]),
        ({"values": {"pixel/moiu": 0.5}}, ["pixel/moiu", "did you mean 'pixel/miou'"]),
        ({"values": {"other/": 0.5}}, ["other/", "no such metric"]),
        ({"values": {"pixel/miou": "0.5"}}, ["values.pixel/miou.value", "(it is '0.5')"]),
        ({"values": {"pixel/miou": True}}, ["values.pixel/miou.value"]),
        ({"values": {"pixel/miou": float("nan")}}, ["values.pixel/miou.value", "finite"]),
        ({"values": {"pixel/miou": {"value": 0.5, "spread": -1.0}}}, ["values.pixel/miou.spread"]),
        ({"values": {"pixel/miou": {"value": 0.5, "interval": [0.6, 0.7]}}}, ["outside its own interval"]),
        ({"metrics": {"pixel/iou": "IoU"}}, ["pixel/miou", "not among the table's `metrics` (pixel/iou)"]),
        (
            {"rows": [{"label": "X", "supervision": "pixel+image", "values": {"pixel/miou": 0.5}}]},
            ["rows[0 'X'].supervision", "alphabetical"],
        ),
    ],
)
def test_a_wrong_own_file_is_refused_naming_file_and_field(tmp_path, table, said):
    path = own(tmp_path, **table)
    with pytest.raises(ConfigError) as caught:
        references(path)
    for words in [str(path), *said]:
        assert words in str(caught.value)


def test_a_number_that_is_there_twice_is_refused(tmp_path):
    row = {"label": "X", "values": {"pixel/miou": 0.5}}
    with pytest.raises(ConfigError, match=r"own\.yaml: Own 2025, Table 9, row 'X', GlaS, pixel/miou is there twice"):
        references(own(tmp_path, rows=[row, row]))
    assert references(own(tmp_path, rows=[row, {**row, "supervision": "full"}]))[-1].supervision == "full"
    copy = tmp_path / "copy.yaml"
    copy.write_text((FOLDER / "oeem.yaml").read_text())
    with pytest.raises(ConfigError, match=r"copy\.yaml: Li et al\. 2022, Table 1, row 'U-Net' .* twice"):
        references(copy)


def test_a_key_written_twice_is_refused(tmp_path):
    text = own(tmp_path).read_text().replace("pixel/miou: 0.5", "pixel/miou: 0.5\n      pixel/miou: 0.6")
    with pytest.raises(ConfigError, match="'pixel/miou' stands here twice"):
        references(own(tmp_path, text=text))


@pytest.mark.parametrize("text", ["[1, 2", "- 1", "\n", "? [a]\n: 1", "{? {a: 1} : 2}", "paper: 3\ntables: []"])
def test_what_is_no_reference_file_is_refused(tmp_path, text):
    with pytest.raises(ConfigError, match=r"own\.yaml"):
        references(own(tmp_path, text=text))


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no file .*missing\.yaml"):
        references(tmp_path / "missing.yaml")


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(sorted(METRICS)), value=st.floats(-200, 200))
def test_a_value_is_taken_exactly_where_its_metric_allows_it(tmp_path_factory, name, value):
    low, high = METRICS[name].range
    path = own(tmp_path_factory.mktemp("own"), values={name: value})
    if low <= value <= high:
        assert references(path)[-1].value == value
    else:
        with pytest.raises(ConfigError, match="is outside"):
            references(path)
