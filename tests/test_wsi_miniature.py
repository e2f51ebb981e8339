"""Miniatures of whole-slide sets: the same bytes from any number of processes, and progress that is told."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.annotations import write_geojson
from benchmark.commands.data import _folded
from benchmark.commands.synth_progress import progress_of
from benchmark.dataset import Split, tell_progress, watched
from benchmark.datasets.side_by_side import side_by_side
from benchmark.datasets.synthetic.painter import Painter
from benchmark.datasets.wsi.wsi_miniature import Picture, Planned, write_miniature
from benchmark.errors import DataError
from benchmark.slides.pyramid import write_pyramid

PLAN = [Planned("a", Split.TRAIN, True), Planned("b", Split.TEST, False), Planned("c", Split.TEST, True)]


def write(folder: Path, slide: Planned, picture: Picture) -> None:
    write_pyramid(folder / f"{slide.name}.tif", picture.bands(), picture.size, mpp=picture.mpp)
    write_geojson(folder / f"{slide.name}.geojson", picture.lesion, ("normal", "lesion"))


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def test_any_number_of_processes_writes_the_same_bytes_and_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    for processes in (1, 2):
        with watched(lambda done, total: told.append((done, total))):
            root = tmp_path / str(processes)
            ours = re.compile(r"[abc]\.(tif|geojson)")
            write_miniature(root, "slides", PLAN, write, ours=ours, seed=3, tissue=None, side=1024, processes=processes)
    first, second = digests(tmp_path / "1"), digests(tmp_path / "2")
    assert first == second and len(first) == 7
    assert told == [(1, 3), (2, 3), (3, 3)] * 2


def fail() -> None:
    raise DataError("train_3.png cannot be read")


def test_what_another_process_raises_is_raised_here() -> None:
    with pytest.raises(DataError, match=r"train_3\.png"):
        list(side_by_side([fail, fail], seconds=1, processes=2))


def test_a_pipe_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_of(Console(force_terminal=False), 5, period=0.05):
        tell_progress(2, 5)
        time.sleep(0.2)
    assert "made 2 of 5 slides in 0 s" in capsys.readouterr().out


@pytest.mark.parametrize("fold", ["3/3", "0/1", "-1/3", "1", "a/b", "0/٣", "1/99999999999"])
def test_folds_that_do_not_exist_are_refused(fold: str) -> None:
    with pytest.raises(DataError, match="expected K/N"):
        _folded(None, fold)


@pytest.mark.parametrize(("tissue", "why"), [(None, "needs --tissue"), (Painter(), "cannot be had of this tissue")])
def test_folds_need_tissue_of_patients(tissue: object, why: str) -> None:
    with pytest.raises(DataError, match=why):
        _folded(tissue, "0/3")
