"""Miniatures of whole-slide sets: the same bytes from any number of processes, and progress that is told."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from rich.console import Console

from benchmark.annotations import write_geojson
from benchmark.commands.data import _folded
from benchmark.commands.synth_progress import progress_of
from benchmark.dataset import Split, tell_progress, watched
from benchmark.datasets.latest import Latest
from benchmark.datasets.side_by_side import side_by_side
from benchmark.datasets.synthetic.painter import Painter
from benchmark.datasets.wsi import wsi_miniature
from benchmark.datasets.wsi.wsi_miniature import Picture, Planned, write_miniature
from benchmark.errors import DataError
from benchmark.slides.pyramid import write_pyramid

Seen = TypeVar("Seen")

PLAN = [Planned("a", Split.TEST, True), Planned("b", Split.TEST, False), Planned("c", Split.TEST, True)]


def write(folder: Path, slide: Planned, picture: Picture) -> None:
    write_pyramid(folder / f"{slide.name}.tif", picture.bands(), picture.size, mpp=picture.mpp)
    write_geojson(folder / f"{slide.name}.geojson", picture.lesion, ("normal", "lesion"))


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


OURS = re.compile(r"[abc]\.(tif|geojson)")


@pytest.mark.parametrize("side", [1024, None])
def test_any_number_of_processes_writes_the_same_bytes_and_progress_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int | None
) -> None:
    told: list[tuple[int, int]] = []
    for processes in (1, 2):
        monkeypatch.setattr(wsi_miniature, "_POOL", Latest(1))
        monkeypatch.setattr(wsi_miniature, "_PAINTED", Latest(1))
        with watched(lambda done, total: told.append((done, total))):
            root = tmp_path / str(processes)
            write_miniature(root, "slides", PLAN, write, ours=OURS, seed=3, tissue=None, side=side, processes=processes)
    first, second = digests(tmp_path / "1"), digests(tmp_path / "2")
    assert first == second and len(first) == 7
    assert told == [(1, 3), (2, 3), (3, 3)] * 2
    assert not hands_of(os.getpid())


def hands_of(process: int) -> list[psutil.Process]:
    """The processes that paint for `process`."""
    children = psutil.Process(process).children(recursive=True)
    return [child for child in children if "loky.backend.popen_loky_posix" in " ".join(child.cmdline())]


def write_or_fail(folder: Path, slide: Planned, picture: Picture) -> None:
    write(folder, slide, picture)
    if slide.name == "b":
        raise DataError("the slide b cannot be written")


def test_what_another_process_raises_is_raised_here_and_nothing_stays(tmp_path: Path) -> None:
    root = tmp_path / "out"
    with pytest.raises(DataError, match="slide b cannot be written"):
        write_miniature(root, "slides", PLAN, write_or_fail, ours=OURS, seed=3, tissue=None, side=1024, processes=2)
    assert not list(tmp_path.iterdir())
    assert not hands_of(os.getpid())


def number_of_hands(seconds: float) -> int:
    with side_by_side(seconds) as hands:
        return hands.number


def test_little_work_and_work_in_a_process_of_multiprocessing_is_done_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    assert number_of_hands(1.0) == 1
    assert number_of_hands(100.0) == 2
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # whose processes are daemons
        assert pool.apply(number_of_hands, (100.0,)) == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_leaves_nothing_and_a_kill_no_process(tmp_path: Path, how: signal.Signals) -> None:
    code = "import joblib; joblib.cpu_count = lambda: 2; from benchmark.cli import main; main()"
    command = [sys.executable, "-c", code, "data", "synth", "camelyon16", "--out", str(tmp_path / "out")]
    bench = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    hands = until(lambda: hands_of(bench.pid), lambda found: len(found) == 2)
    time.sleep(1)  # they are painting
    if how == signal.SIGINT:  # a terminal sends it to all of them
        os.killpg(bench.pid, how)
    else:
        bench.kill()
    said = bench.communicate(timeout=20)[1]
    assert not until(lambda: [hand for hand in hands if alive(hand)], lambda left: not left)
    if how == signal.SIGINT:
        assert bench.returncode == 130 and "Traceback" not in said
        assert not list(tmp_path.iterdir())


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def until(look: Callable[[], Seen], enough: Callable[[Seen], bool], seconds: float = 20) -> Seen:
    """What is seen when it is enough, or at the latest after so many seconds."""
    end = time.monotonic() + seconds
    while not enough(seen := look()) and time.monotonic() < end:
        time.sleep(0.1)
    return seen


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
