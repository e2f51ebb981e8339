"""The digests that decide whether an old result may be used again."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import pytest

from benchmark.identity import digest_of, facts_of
from benchmark.method import Params, param
from benchmark.provenance import code_digest, code_version
from benchmark.resources import Meter
from benchmark.seeds import generator, seed_of

SOURCE = '"""Doc."""\n\n\nclass Thing:\n    """Doc."""\n\n    def go(self):\n        return 1\n'


@pytest.fixture
def digest_of_source(tmp_path, monkeypatch):
    def digest(source):
        path = tmp_path / "thing_module.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location("thing_module", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "thing_module", module)
        spec.loader.exec_module(module)
        return code_digest(module.Thing)

    return digest


def test_code_counts_but_comments_do_not(digest_of_source):
    before = digest_of_source(SOURCE)
    assert digest_of_source(SOURCE.replace("return 1", "return 1  # one")) == before
    assert digest_of_source(SOURCE.replace('"""Doc."""', '"""Other words."""')) == before
    assert digest_of_source(SOURCE.replace("return 1", "return 2")) != before


def test_a_family_counts_as_a_whole_and_flat_methods_alone():
    from benchmark.registry import methods

    oeem, cam_seg, constant = (code_digest(methods().load(name)) for name in ("oeem", "cam-seg", "constant"))
    assert oeem == cam_seg != constant


def test_version_names_the_distribution():
    assert code_version().startswith("0.")


def test_identity_reads_files_by_content(tmp_path):
    class Some(Params):
        weights: Path | None = param(None, "file")

    one, two = tmp_path / "one.pt", tmp_path / "two.pt"
    one.write_bytes(b"same")
    two.write_bytes(b"same")
    assert facts_of(Some(weights=one)) == facts_of(Some(weights=two))
    two.write_bytes(b"else")
    assert digest_of(facts_of(Some(weights=one))) != digest_of(facts_of(Some(weights=two)))


def test_digests_do_not_depend_on_order():
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})


def test_seeds_follow_their_axes():
    assert seed_of("a", 1) == seed_of("a", 1) < 2**63
    assert len({seed_of("a", 1), seed_of("a", "1"), seed_of("a1"), seed_of("b", 1), seed_of("a", 1, 0)}) == 5
    assert generator("x").random() == generator("x").random()


@pytest.mark.parametrize("told", ["many", "0", "2,1"])
def test_a_thread_count_that_is_none_is_refused(told, monkeypatch):
    from benchmark.errors import ConfigError
    from benchmark.running.device import threads

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    with pytest.raises(ConfigError, match="no number of threads"):
        threads()


def test_meter_sees_a_peak():
    with Meter() as meter:
        block = bytearray(200 * 2**20)
        block[::4096] = b"x" * len(block[::4096])
        time.sleep(0.3)  # the size is sampled every 50 ms: a shorter peak may be missed
        del block
    assert meter.peak_mib > 200 and meter.seconds > 0
