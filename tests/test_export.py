"""`bench export`: real files from a real store, and what comes back when they are read."""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmark.annotations import read_asap, read_geojson, write_geojson
from benchmark.applying.export_run import export_run, outlined_cells
from benchmark.applying.written_files import MANIFEST
from benchmark.cli import main
from benchmark.errors import ConfigError, DataError, TrackingError
from benchmark.reporting.cells import cell_edges, nearest_cells
from benchmark.slides import Grid, ScoreMap
from benchmark.tracking.artifacts import StoreArtifacts
from benchmark.tracking.store import DatasetInput, Tracker

GRIDS = {
    "pixels": Grid.pixels((9, 7)),
    "cells": Grid.regular((2304, 1792), 256),
    "patches larger than the stride": Grid.regular((1152, 896), 128, 256),
    "patches with an odd margin": Grid.regular((63, 49), 7, 10),
    "clamped windows": Grid.windows((2500, 1900), 400, 300),
    "patches smaller than the stride": Grid.regular((900, 700), 100, 50),
}


def export(tracker, run, *words, **named):
    """Export the run of that id, as the verb does."""
    with StoreArtifacts(tracker) as artifacts:
        return export_run(tracker.find(run), artifacts, *words, **named)


# --- where cells lie


def test_cells_of_a_lattice_are_its_strides_not_its_patches():
    x, y = cell_edges(Grid.regular((512, 384), 128, 256))
    assert x.tolist() == [0, 128, 256, 384, 512]
    assert y.tolist() == [0, 128, 256, 384]
    assert [edges.tolist() for edges in cell_edges(Grid.whole((30, 20)))] == [[0, 30], [0, 20]]


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_every_centre_is_inside_its_own_cell(grid):
    for edges, centres in zip(cell_edges(grid), grid.centres, strict=True):
        assert nearest_cells(edges, centres).tolist() == list(range(centres.size))
        assert nearest_cells(edges, edges[[0, -1]] + [-0.1, 0.1]).tolist() == [-1, -1]


# --- outlines


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(GRIDS)), st.data())
def test_the_centre_rule_gives_the_mask_back(name, data):
    grid = GRIDS[name]
    mask = data.draw(arrays.arrays(bool, grid.shape))
    assert np.array_equal(outlined_cells(mask, grid).labels(grid), mask)


def figure():
    """A ring with a cell in its hole, two cells that touch at a corner, cells on every border."""
    mask = np.zeros((12, 14), bool)
    mask[1:7, 1:7], mask[2:6, 2:6], mask[3:5, 3:5] = True, False, True
    mask[8, 9] = mask[9, 10] = True
    mask[0, 12:] = mask[11, :2] = mask[6:8, 13] = mask[11, 13] = True
    return mask


def test_regions_are_connected_areas_and_holes_stay_holes():
    grid = Grid.regular((14 * 64, 12 * 64), 64)
    found = outlined_cells(figure(), grid)
    assert found.count() == 8
    ring = max(found.regions, key=lambda region: region.geometry.envelope.area)
    assert len(ring.geometry.interiors) == 1 and ring.geometry.area == (36 - 16) * 64**2
    assert ring.geometry.bounds == (64, 64, 7 * 64, 7 * 64)
    assert all(region.geometry.geom_type == "Polygon" for region in found.regions)


def test_a_mask_of_a_large_slide_comes_back_from_its_file(tmp_path):
    rng = np.random.default_rng(0)
    mask = np.kron(rng.random((80, 100)) < 0.4, np.ones((50, 50), bool)).astype(bool)
    mask[100:4000:400, 60:5000:500] = False
    grid = Grid.regular((5000 * 64, 4000 * 64), 64)
    write_geojson(tmp_path / "a.geojson", outlined_cells(mask, grid), ("normal", "tumor"))
    found = read_geojson(tmp_path / "a.geojson")
    assert np.array_equal(found.labels(grid) > 0, mask)
    assert sum(region.geometry.area for region in found.regions) == mask.sum() * 64**2


# --- whole exports

CELLS = Grid.regular((14 * 128, 12 * 128), 128, 256)


def store_run(store, folder, *, masks=("a",), scores=("a", "b"), finish=True, tags=None, experiment="camelyon16"):
    """A stored run with score maps; on every slide the scores say the opposite of the mask."""
    live = Tracker(store).start(
        experiment=experiment,
        description="",
        name="lcmil seed 0",
        params={},
        tags={"bench.method": "lcmil", "bench.dataset": "camelyon16", **(tags or {"bench.classes": "normal,tumor"})},
        dataset=DatasetInput("camelyon16", "/data", "0" * 8, {}),
    )
    where = folder / live.id
    (where / "other").mkdir(parents=True)
    (where / "other" / "notes.txt").write_text("x")
    for kind, slides, values in (("masks", masks, figure()), ("scores", scores, ~figure())):
        for slide in slides:
            found = values.astype(np.float32)
            found[10] = np.nan
            ScoreMap(CELLS, found).save(where / kind / f"{slide}.png")
    live.artifacts(where)
    if finish:
        live.finish()
    return live


def expected(values):
    shown = values.copy()
    shown[10] = False
    return shown


def read(path):
    return read_geojson(path) if path.suffix == ".geojson" else read_asap(path)


@pytest.mark.parametrize(("kind", "suffix"), [("geojson", ".geojson"), ("asap", ".xml")])
def test_what_is_exported_and_read_again_is_the_same_mask(store, tmp_path, kind, suffix):
    live = store_run(store, tmp_path)
    done = export(Tracker(store), live.id[:8], kind, tmp_path / "out")
    assert (done.slides, done.name, done.empty) == (2, "tumor", 0)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"a{suffix}", f"b{suffix}", MANIFEST}
    for slide, values in (("a", figure()), ("b", ~figure())):
        annotation = read(tmp_path / "out" / f"{slide}{suffix}")
        assert np.array_equal(annotation.labels(CELLS), expected(values)), slide


def test_a_slide_without_anything_positive_gets_an_empty_file(store, tmp_path):
    live = store_run(store, tmp_path, masks=(), scores=())
    ScoreMap(CELLS, np.zeros(CELLS.shape, np.float32)).save(tmp_path / "more" / "scores" / "c.png")
    live = Tracker(store).start(
        experiment="e",
        description="",
        name="n",
        params={},
        tags={},
        dataset=DatasetInput("d", "/d", "0", {}),
    )
    live.artifacts(tmp_path / "more")
    live.finish()
    done = export(Tracker(store), live.id, "geojson", tmp_path / "out")
    assert (done.slides, done.regions, done.empty, done.name) == (1, 0, 1, "lesion")
    assert not read(tmp_path / "out" / "c.geojson").labels(CELLS).any()


def test_an_export_replaces_its_own_files_and_nothing_else(store, tmp_path):
    live, out = store_run(store, tmp_path), tmp_path / "out"
    tracker = Tracker(store)
    out.mkdir()
    (out / "a.geojson").write_text("drawn by hand")
    with pytest.raises(ConfigError, match=r"a\.geojson would be replaced") as refused:
        export(tracker, live.id, "geojson", out)
    assert "--force" in refused.value.fix
    assert [path.name for path in out.iterdir()] == ["a.geojson"]
    assert (out / "a.geojson").read_text() == "drawn by hand"
    export(tracker, live.id, "geojson", out, force=True)
    export(tracker, live.id, "geojson", out)
    (out / "b.geojson").write_text((out / "b.geojson").read_text() + " ")
    with pytest.raises(ConfigError, match=r"b\.geojson would be replaced"):
        export(tracker, live.id, "geojson", out)
    (out / MANIFEST).write_text("[]")
    with pytest.raises(DataError, match="is not the list of an earlier export"):
        export(tracker, live.id, "geojson", out)


def test_exports_of_two_formats_share_a_folder(store, tmp_path):
    live = store_run(store, tmp_path)
    for kind in ("geojson", "asap", "geojson", "asap"):
        export(Tracker(store), live.id, kind, tmp_path / "out")
    assert len(json.loads((tmp_path / "out" / MANIFEST).read_text())["files"]) == 4


def test_runs_that_cannot_be_exported_say_why(store, tmp_path):
    tracker = Tracker(store)
    running = store_run(store, tmp_path, finish=False)
    with pytest.raises(ConfigError, match=r"lcmil seed 0\) is RUNNING, so its score maps are not complete") as refused:
        export(tracker, running.id, "geojson")
    assert refused.value.fix.startswith("bench run --method lcmil --dataset camelyon16")
    running.finish()
    bare = store_run(store, tmp_path, masks=(), scores=())
    with pytest.raises(ConfigError, match="has no score maps"):
        export(tracker, bare.id, "geojson")
    with pytest.raises(TrackingError, match="has no run 'ffff0000'"):
        export(tracker, "ffff0000", "geojson")
    with pytest.raises(TrackingError, match="'the last one' is not a run's id"):
        export(tracker, "the last one", "geojson")


def test_no_store_is_made_by_looking_for_a_run(tmp_path):
    path = tmp_path / "nowhere" / "mlflow.db"
    with pytest.raises(TrackingError, match="no runs are stored yet"):
        Tracker(f"sqlite:///{path}").find("abcd")
    assert not path.parent.exists()


def test_a_run_is_found_in_any_experiment_by_an_unambiguous_beginning(store, tmp_path):
    tracker = Tracker(store)
    runs = [store_run(store, tmp_path, masks=(), scores=(), experiment=f"e{i}") for i in range(2)]
    for run in runs:
        assert tracker.find(run.id).id == tracker.find(run.id[:12].upper()).id == run.id
    alike = [f"abcd{i}{run.id[5:]}" for i, run in enumerate(runs)]
    rename_runs(store, {run.id: name for run, name in zip(runs, alike, strict=True)})
    with pytest.raises(TrackingError, match="several runs start with 'abcd': ") as ambiguous:
        tracker.find("abcd")
    assert all(f"{name} (lcmil seed 0)" in ambiguous.value.what for name in alike)
    assert [tracker.find(name[:5]).id for name in alike] == alike


def rename_runs(store, names):
    """Give stored runs other ids: no store can be asked for ids that begin alike."""
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as tables, tables:
        for old, new in names.items():
            for table in ("runs", "tags", "params", "metrics", "latest_metrics"):
                tables.execute(f"UPDATE {table} SET run_uuid = ? WHERE run_uuid = ?", (new, old))


def test_the_verb(store, tmp_path, monkeypatch, capsys):
    live = store_run(store, tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["export", live.id[:10], "--store", store])
    assert not ended.value.code
    said = capsys.readouterr().out
    assert "2 slides, " in said and "regions of class tumor" in said and "QuPath" in said
    assert (tmp_path / f"annotations-{live.id[:8]}-geojson" / "a.geojson").is_file()
    with pytest.raises(SystemExit) as ended:
        main(["export", "ffff0000", "--store", store])
    assert ended.value.code == 2
    assert f"has no run 'ffff0000'; newest: {live.id[:8]} (lcmil seed 0)" in " ".join(capsys.readouterr().err.split())
