from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import digest
from benchmark.digest import BLOCK, SAMPLES, content_digest, file_digests
from benchmark.errors import DataError

LIMIT = BLOCK * SAMPLES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    (root / "inner").mkdir(parents=True)
    (root / "small.csv").write_bytes(b"name,grade\n")
    (root / "inner" / "large.bmp").write_bytes(bytes(range(256)) * 400)
    return root


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_place_and_order_do_not_matter(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "elsewhere")
    here, there = files(folder), files(tmp_path / "elsewhere")
    for full in (False, True):
        digest = content_digest(folder, here, full=full)
        assert digest == content_digest(tmp_path / "elsewhere", reversed(there), full=full)
        assert digest == content_digest(folder, here + here, full=full)


def test_known_value_is_stable_across_machines_and_versions(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    assert content_digest(tmp_path, [tmp_path / "a.txt"]) == "a7c5e00e3ea79a525c25daa5eb05fb45"
    assert content_digest(tmp_path, [tmp_path / "a.txt"], full=True) == "b3fa1e87b83aeaa12545c5e441941708"


@pytest.mark.parametrize("full", [False, True])
def test_names_sizes_and_contents_count(folder: Path, full: bool) -> None:
    seen = {content_digest(folder, files(folder), full=full)}
    large = folder / "inner" / "large.bmp"
    content = large.read_bytes()
    for changed in (b"\xff" + content[1:], content[:-1] + b"\x00", content[:-1], content + b"\x00"):
        large.write_bytes(changed)
        seen.add(content_digest(folder, files(folder), full=full))
    large.write_bytes(content)
    large.rename(folder / "large.bmp")
    seen.add(content_digest(folder, files(folder), full=full))
    seen.add(content_digest(folder, [folder / "small.csv"], full=full))
    assert len(seen) == 7


def test_only_the_full_digest_sees_what_lies_between_the_samples_of_a_large_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, "WHOLE", LIMIT)
    large = folder / "inner" / "large.bmp"
    content = bytearray(large.read_bytes())
    quick, full = content_digest(folder, files(folder)), content_digest(folder, files(folder), full=True)
    content[BLOCK + 10] ^= 1
    large.write_bytes(content)
    assert content_digest(folder, files(folder)) == quick
    assert content_digest(folder, files(folder), full=True) != full


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, LIMIT), at=st.floats(0, 1, exclude_max=True))
def test_every_byte_of_a_small_file_counts(tmp_path_factory: pytest.TempPathFactory, size: int, at: float) -> None:
    root = tmp_path_factory.mktemp("bytes")
    file = root / "file"
    content = bytearray(size)
    file.write_bytes(content)
    before = content_digest(root, [file])
    content[int(at * size)] = 1
    file.write_bytes(content)
    assert content_digest(root, [file]) != before


def test_an_edit_that_keeps_size_and_sampled_blocks_of_a_mask_counts(folder: Path) -> None:
    large = folder / "inner" / "large.bmp"
    content = bytearray(large.read_bytes())
    before = content_digest(folder, [large])
    content[BLOCK + 10] ^= 1
    large.write_bytes(content)
    assert content_digest(folder, [large]) != before


def test_what_was_read_is_remembered_until_size_or_time_change(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(digest, "SETTLED", -60.0)
    read: list[Path] = []
    everything = digest._everything

    def noted(file: Path) -> Iterator[bytes]:
        read.append(file)
        return everything(file)

    monkeypatch.setattr(digest, "_everything", noted)
    first = content_digest(folder, files(folder), remember=True)
    assert len(read) == 2
    assert content_digest(folder, files(folder), remember=True) == first == content_digest(folder, files(folder))
    assert len(read) == 4, "once for each of the first digest and of the one that remembers nothing"
    large = folder / "inner" / "large.bmp"
    content = bytearray(large.read_bytes())
    content[BLOCK + 10] ^= 1
    large.write_bytes(content)
    assert content_digest(folder, files(folder), remember=True) != first
    assert read[4:] == [large]
    for home in (tmp_path / "cache" / "digests").iterdir():
        text = home.read_text()
        for damaged in ('{"a": 1}', text[:-9], text.replace('"]', 'z"]')):
            home.write_text(damaged)
            assert content_digest(folder, files(folder), remember=True) == content_digest(folder, files(folder))


def test_a_file_written_just_now_is_not_remembered(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    large = folder / "inner" / "large.bmp"
    stat, before = large.stat(), file_digests(folder)
    large.write_bytes(bytes(stat.st_size))
    os.utime(large, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file_digests(folder)[large] != before[large]


def test_missing_and_outside_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.bmp"):
        content_digest(folder, [folder / "gone.bmp"])
    with pytest.raises(DataError, match="does not lie below"):
        content_digest(folder, [tmp_path / "outside.bmp"])
    with pytest.raises(DataError, match="inner"):
        content_digest(folder, [folder / "inner"])
