"""`bench cache`: what it shows, what it removes, and what it leaves alone."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from filelock import FileLock

from benchmark.learning.encoders.features import CELLS, FACTS, VALUES
from benchmark.learning.encoders.kept import chosen, entries, forget_stage, leftovers, remove, stages

DAY = 86_400.0


def keep(cache, number, encoder, *, slide="slide", age=0.0, values=1000):
    """An entry as the cache writes it."""
    home = cache / "features" / f"{number:02x}" / f"{number:032x}"
    home.mkdir(parents=True)
    np.save(home / VALUES, np.zeros((10, values // 10), np.float32))
    np.save(home / CELLS, np.zeros((10, 2), np.int64))
    facts = {"slide": slide, "encoder_name": encoder, "patches": 10, "seconds": 2.0}
    (home / FACTS).write_text(json.dumps(facts))
    used = time.time() - age * DAY
    os.utime(home / FACTS, (used, used))
    return home


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "cache"
    keep(folder, 1, "vgg16:trunk", age=40)
    keep(folder, 2, "vgg16:trunk", slide="other", age=20)
    keep(folder, 3, "resnet18:pooled", age=0)
    return folder


def stage(cache, number, *files):
    home = cache / "stages" / f"{number:02x}" / f"{number:032x}"
    home.mkdir(parents=True)
    for name in files:
        (home / name).write_bytes(b"x" * 500)
    (home / "lock").touch()
    return home


def bench(*words):
    command = [sys.executable, "-m", "benchmark", "cache", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def numbers(found):
    return [int(entry.home.name, 16) for entry in found]


def test_what_prune_chooses(cache):
    found = entries(cache / "features")
    assert numbers(found) == [1, 2, 3]
    assert numbers(chosen(found, older_than=30)) == [1]
    assert numbers(chosen(found, encoder="vgg16")) == [1, 2]
    assert numbers(chosen(found, encoder="vgg16:trunk")) == [1, 2]
    assert numbers(chosen(found, encoder="vgg")) == []
    assert numbers(chosen(found, max_bytes=found[0].bytes * 1.5)) == [1, 2]
    assert numbers(chosen(found, encoder="resnet18", max_bytes=found[0].bytes)) == [3, 1]
    assert numbers(chosen(found, everything=True)) == [1, 2, 3]
    assert chosen(found) == []


def test_what_the_cache_did_not_write_stays(cache):
    first, second, third = entries(cache / "features")
    (first.home / "notes.txt").write_text("mine")
    strange = cache / "features" / "zz" / "papers"
    strange.mkdir(parents=True)
    (strange / "thesis.part").write_text("mine")
    half = cache / "features" / "04" / f"{4:032x}.part"
    half.mkdir(parents=True)
    (half / "notes.txt").write_text("mine")
    assert leftovers(cache / "features") == []
    assert not remove(first.home) and (first.home / VALUES).is_file()
    assert remove(second.home) and not second.home.exists()
    assert not remove(second.home)
    done = bench("prune", "--all", "--yes", "--cache", str(cache))
    assert "deleted 2 of 2 features, 0 unfinished ones, except the 1 listed below" in done.stdout
    assert f"kept {first.home}" in done.stdout
    assert (first.home / "notes.txt").is_file() and (half / "notes.txt").is_file()
    assert (strange / "thesis.part").is_file() and not third.home.exists()


def test_what_is_in_use_stays(cache):
    first = entries(cache / "features")[0]
    part = cache / "features" / "05" / f"{5:032x}.part"
    part.mkdir(parents=True)
    (part / VALUES).write_bytes(b"half")
    with FileLock(first.home.with_suffix(".lock")), FileLock(part.with_suffix(".lock")):
        assert not remove(first.home) and leftovers(cache / "features") == [] and not remove(part)
    assert leftovers(cache / "features") == [part] and remove(part)
    assert remove(first.home)


def test_an_entry_without_facts_is_a_leftover(cache):
    home = entries(cache / "features")[0].home
    (home / FACTS).unlink()
    assert leftovers(cache / "features") == [home]
    assert remove(home) and leftovers(cache / "features") == []


def test_a_stage_that_is_being_computed_is_not_forgotten(cache):
    done, running = stage(cache, 1, "result.pt", "record.json"), stage(cache, 2, "checkpoint.pt")
    stage(cache, 3)
    assert stages(cache / "stages") == [done, running]
    with FileLock(running / "lock"):
        assert forget_stage(done) and not forget_stage(running)
    assert stages(cache / "stages") == [running] and (done / "lock").is_file()


def test_info_shows_all_parts_and_the_features(cache):
    stage(cache, 1, "result.pt")
    shown = bench("info")
    assert shown.returncode == 0, shown.stderr
    for word in ("features", "stages", "runs", "synthetic", "500 B", "vgg16:trunk", "resnet18:pooled"):
        assert word in shown.stdout
    line = next(line for line in shown.stdout.splitlines() if line.strip().startswith("vgg16:trunk"))
    assert line.split()[1:4] == ["2", "2", "20"]
    slides = bench("info", "--slides").stdout
    assert sum("vgg16:trunk" in line for line in slides.splitlines()) == 2 and "other" in slides


def test_an_empty_cache_has_no_features(tmp_path):
    shown = bench("info", "--cache", str(tmp_path / "nowhere"))
    assert shown.returncode == 0 and "no features yet" in shown.stdout
    assert "0 of 0" in bench("prune", "--all", "--yes", "--cache", str(tmp_path / "nowhere")).stdout
    assert not (tmp_path / "nowhere").exists()


def test_prune_only_shows_until_it_is_told(cache):
    stage(cache, 1, "result.pt")
    assert "nothing was deleted" in bench("prune", "--encoder", "vgg16", "--stages").stdout
    assert len(entries(cache / "features")) == 3 and len(stages(cache / "stages")) == 1
    assert "deleted 2 of 3 features" in bench("prune", "--encoder", "vgg16", "--yes").stdout
    assert numbers(entries(cache / "features")) == [3] and len(stages(cache / "stages")) == 1
    assert "1 stages: 500 B" in bench("prune", "--stages", "--yes").stdout
    assert numbers(entries(cache / "features")) == [3] and not stages(cache / "stages")


def test_prune_wants_to_know_what():
    nothing = bench("prune")
    assert nothing.returncode == 2 and "--older-than" in nothing.stderr
    assert bench("prune", "--older-than", "-1").returncode == 2
