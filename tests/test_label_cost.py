"""The cost model: shipped, overridden by a user's file, and files that cannot be used."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import ConfigError
from benchmark.reporting.label_cost import SHIPPED, CostModel, ItemCost, read_cost_model
from benchmark.supervision import COUNTERS, Ledger, Supervision

NAMES = sorted(set(COUNTERS.values()))


def written(tmp_path, text):
    path = tmp_path / "ours.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_model_prices_every_counter_and_says_where_from():
    model = read_cost_model(None)
    assert sorted(CostModel.model_fields) == NAMES
    assert sorted(yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))) == NAMES
    for name in NAMES:
        item = getattr(model, name)
        assert item.minutes > 0
        assert "assumed" in item.source or "Bearman" in item.source
    assert model.image_labels.minutes == pytest.approx(20 / 60, abs=1e-3)


def test_minutes_add_up():
    model = read_cost_model(None)
    assert model.minutes({}) == 0
    assert model.minutes({"image_labels": 30}) == pytest.approx(30 * 0.333)
    assert model.minutes({"mask_pixels": 500_000}) == pytest.approx(5.0)
    counts = {"patch_labels": 100, "reviews": 3, "coarse_polygons": 2.5, "image_labels": 0}
    assert model.minutes(counts) == pytest.approx(100 * 0.083 + 3 * 0.083 + 2.5)


def test_the_totals_of_a_ledger_are_what_it_takes():
    ledger = Ledger()
    assert read_cost_model(None).minutes(ledger.totals()) == 0
    ledger.record(Supervision.FULL, "slide", "mask", 2_000_000)
    ledger.record(Supervision.IMAGE, "slide", "units", 3)
    assert read_cost_model(None).minutes(ledger.totals()) == pytest.approx(20 + 3 * 0.333)


@given(
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 10**9)), st.dictionaries(st.sampled_from(NAMES), st.just(1))
)
def test_more_labels_never_cost_less(counts, more):
    model = read_cost_model(None)
    grown = {name: counts.get(name, 0) + more.get(name, 0) for name in {*counts, *more}}
    assert 0 <= model.minutes(counts) <= model.minutes(grown)
    assert model.minutes(grown) == pytest.approx(model.minutes(counts) + model.minutes(more))


def test_a_counter_that_nobody_priced_is_named():
    with pytest.raises(ConfigError, match="no minutes for 'scribbles'"):
        read_cost_model(None).minutes({"scribbles": 1})


def test_text_is_a_line_per_counter_with_rate_and_source():
    lines = read_cost_model(None).text()
    assert sorted(line.partition(":")[0] for line in lines) == NAMES
    assert all("Source: " in line and "\n" not in line for line in lines)
    said = dict(line.split(": ", 1) for line in lines)
    assert said["coarse_polygons"].startswith("1 min each. Source: assumed")
    assert said["mask_pixels"].startswith("10 min per 1,000,000. ")


def test_a_file_may_change_one_counter_and_keep_the_others(tmp_path):
    path = written(tmp_path, "reviews:\n  minutes: 0.2\n  source: our stopwatch\n")
    shipped, ours = read_cost_model(None), read_cost_model(path)
    assert ours.reviews == ItemCost(minutes=0.2, source="our stopwatch")
    assert ours.model_copy(update={"reviews": shipped.reviews}) == shipped
    assert any(line == "reviews: 0.2 min each. Source: our stopwatch" for line in ours.text())


def test_an_overridden_rate_does_not_inherit_what_it_is_per(tmp_path):
    path = written(tmp_path, "mask_pixels: {minutes: 120, per: 1.0e+10, source: one slide in two hours}\n")
    assert read_cost_model(path).minutes({"mask_pixels": 5e9}) == pytest.approx(60)
    path = written(tmp_path, "mask_pixels: {minutes: 2, source: a pixel at a time}\n")
    assert read_cost_model(path).minutes({"mask_pixels": 3}) == 6


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("review: {minutes: 1, source: x}", "no field 'review'; there are: .*reviews"),
        ("reviews: {minute: 1, minutes: 1, source: x}", "no field 'reviews.minute'; there are: minutes, per, source"),
        ("reviews: {minutes: -1, source: x}", "reviews.minutes = -1 is not legal: .*greater than or equal to 0"),
        ("reviews: {minutes: .nan, source: x}", "reviews.minutes = nan is not legal"),
        ("reviews: {minutes: .inf, source: x}", "reviews.minutes = inf is not legal"),
        ("reviews: {minutes: yes, source: x}", "reviews.minutes = True is not legal"),
        ("reviews: {minutes: 1, per: 0, source: x}", "reviews.per = 0 is not legal"),
        ("reviews: {minutes: 1}", "reviews.source is missing"),
        ("reviews: {minutes: 1, source: ''}", "reviews.source = '' is not legal"),
        ("reviews: {source: x}", "reviews.minutes is missing"),
        ("reviews: 3", "reviews = 3 is not legal"),
        ("reviews:", "reviews = None is not legal"),
        ("", "holds NoneType"),
        ("[1, 2]", "holds list"),
        ("reviews: {minutes: 1", "is not a YAML file"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_field(tmp_path, text, what):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=what) as refused:
        read_cost_model(path)
    assert str(path) in refused.value.what
    assert refused.value.fix == f"cat {SHIPPED}"


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        read_cost_model(tmp_path / "none.yaml")
    (tmp_path / "ours.yaml").write_bytes(b"\xff\xfe\x00reviews")
    with pytest.raises(ConfigError, match="not a YAML file"):
        read_cost_model(tmp_path / "ours.yaml")


def test_a_shipped_file_that_lacks_a_counter_is_refused(tmp_path, monkeypatch):
    content = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    del content["patch_labels"]
    path = written(tmp_path, yaml.safe_dump(content))
    monkeypatch.setattr("benchmark.reporting.label_cost.SHIPPED", path)
    with pytest.raises(ConfigError, match=r"ours\.yaml: patch_labels is missing"):
        read_cost_model(None)
