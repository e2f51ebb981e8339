"""Injects faults and counts what is not as it should be: kills, signals, races, hostile input.

    python measurements/faults.py            # some minutes
    python measurements/faults.py --short    # under a minute, for CI
    python measurements/faults.py --kills 40 --races 1 --signals 1

Every trial has a rule: a file is complete or absent after a kill, leftovers go with the next run, one of several
processes does a run, a signal ends a run that the same command then resumes to the same numbers, and bad input is one
error of `bench` (`BenchError`) in bounded time, never another exception. Exit code 1 if a trial breaks its rule.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import random
import signal
import sqlite3
import string
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from benchmark import config
from benchmark.annotations import read_annotation
from benchmark.csv_text import escaped, unescaped
from benchmark.errors import BenchError
from benchmark.file_names import file_name, id_of
from benchmark.storage import whole_file
from benchmark.terminal import PlainConsole
from benchmark.tracking.store import DatasetInput, Tracker
from benchmark.workshop import workshop

MEASURED_PREFIXES = ("cost/", "stage/", "system/")
"""Of metrics that time or memory makes."""
SLOWEST = 10.0
"""Seconds that one bad input may take."""
FULL = {"kills": 40, "races": 10, "signals": 24}
SHORT = {"kills": 8, "races": 1, "signals": 1}
"""Trials of each kind that takes long."""
FORK = multiprocessing.get_context("fork")

Trial = tuple[str, Callable[[], str | None]]
"""Kind, and what gives the fault that was found, None for none."""


# --- hostile input


def refused(read: Callable[[], object]) -> str | None:
    """Whether something is read, or refused with an error of `bench`, in time."""
    began = time.monotonic()
    try:
        read()
    except BenchError as error:
        if len(str(error)) > 5000:
            return f"a message of {len(str(error))} characters"
    except BaseException as error:  # whatever it is, it is the finding
        return f"{type(error).__name__}: {str(error)[:80]}"
    seconds = time.monotonic() - began
    return None if seconds < SLOWEST else f"took {seconds:.0f} s"


DIGITS, DEEP = "9" * 5000, "[" * 50_000
VALUES = [
    *(
        "!!int abc",
        "2024-13-45",
        "!!timestamp x",
        "!!bool x",
        "!!float ''",
        DIGITS,
        f"0x{'f' * 6000}",
        "1e999",
        "[",
        "{",
    ),
    *(DEEP, "[" * 60 + "]" * 60, "&a [*a]", "*a", "!!python/name:os.system", "\x00", "\udcff", "? [a]\n: b", "a: b: c"),
    *("@", "`", "%", "|", ">", "- - -", "!!binary ###", "!!set {a}", "!!omap [a]", "'", '"', "\t", "\u2028", "<<: 3"),
]


def yaml_trials(folder: Path) -> Iterator[Trial]:
    file = folder / "run.yaml"
    for value in VALUES:
        yield "settings", lambda value=value: refused(lambda: config.read_setting(f"value={value}"))

        def read(value: str = value) -> object:
            file.write_bytes(f"method: constant\nparams:\n  value: {value}\n".encode(errors="surrogatepass"))
            return config.read_file(file)

        yield "run files", lambda read=read: refused(read)


NUMBERS = (
    "²",
    "٣",
    DIGITS,
    "-" + DIGITS,
    "1e400",
    "NaN",
    "Infinity",
    "-0",
    "",
    " ",
    "0x10",
    "1_000",
    "true",
    "null",
    "[]",
    '"x"',
)
ASAP = """<?xml version="1.0"?><ASAP_Annotations><Annotations><Annotation Name="a" Type="{type}" PartOfGroup="tumor">
<Coordinates>{corners}</Coordinates></Annotation></Annotations></ASAP_Annotations>"""
SCOPE = """<Annotations><Annotation Id="1" Name="tumor"><Regions><Region Id="1" Type="{type}"><Vertices>{corners}
</Vertices></Region></Regions></Annotation></Annotations>"""
GEO = (
    '{{"type": "FeatureCollection", "features": [{{"type": "Feature", "properties": {{"classification": {name}}},'
    ' "geometry": {geometry}}}]}}'
)
BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
)


def annotation_texts() -> Iterator[tuple[str, str]]:
    square = [(0, 0), (0, 9), (9, 9), (9, 0)]
    named = '{"name": "tumor"}'
    for number in NUMBERS:
        corners = "".join(f'<Coordinate Order="{k}" X="{x}" Y="{y}"/>' for k, (x, y) in enumerate(square))
        for old, new in (('Order="2"', f'Order="{number}"'), ('X="9"', f'X="{number}"')):
            yield ".xml", ASAP.format(type="Polygon", corners=corners.replace(old, new, 1))
        vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in square)
        yield ".xml", SCOPE.format(type="0", corners=vertices.replace('X="9"', f'X="{number}"', 1))
        ring = f"[[0,0],[0,9],[9,{number}],[9,0],[0,0]]"
        yield ".geojson", GEO.format(name=named, geometry=f'{{"type": "Polygon", "coordinates": [{ring}]}}')
        yield ".geojson", GEO.format(name=f'{{"name": {number}}}', geometry='{"type": "Polygon", "coordinates": []}')
    for geometry in ("null", "3", "[]", "{}", '{"type": "Polygon"}', '{"type": 3, "coordinates": 3}', DEEP):
        yield ".geojson", GEO.format(name=named, geometry=geometry)
    for text in (
        "",
        "\x00",
        "{",
        DEEP,
        "<a>" * 5000,
        BOMB + "]><a>&j;</a>",
        "<a",
        "\ufeff",
        "[1, 2]",
        '"x"',
        "\ud800",
        "<a/>",
    ):
        yield ".xml", text
        yield ".geojson", text
    star = [(1000 + 900 * (1 if k % 2 else -1), k * 7919 % 2000) for k in range(3000)]
    ring = ",".join(f"[{x},{y}]" for x, y in [*star, star[0]])
    yield ".geojson", GEO.format(name=named, geometry=f'{{"type": "Polygon", "coordinates": [[{ring}]]}}')


def annotation_trials(folder: Path) -> Iterator[Trial]:
    for number, (suffix, text) in enumerate(annotation_texts()):
        path = folder / f"annotation-{number}{suffix}"

        def read(path: Path = path, text: str = text) -> object:
            path.write_bytes(text.encode(errors="surrogatepass"))
            return read_annotation(path)

        yield "annotations", lambda read=read: refused(read)


def text_trials(folder: Path, random_: random.Random) -> Iterator[Trial]:
    hard = "/\\.:*?\"<>|[]=%+-@'\x00\x1b\n\t\u202e é漢" + string.ascii_letters
    texts = ["../../x", "/abs/x", "[/]", "[a]b[/a]", "\x1b[2J", "=1+1", "con", ".", "..", "x" * 400, "a\x00b"]
    texts += ["".join(random_.choices(hard, k=random_.randint(1, 60))) for _ in range(40)]
    for text in texts:
        yield "ids", lambda text=text: refused(lambda: _stays_inside(folder, text))
        yield "foreign text", lambda text=text: _printed_plainly(text)


def _stays_inside(folder: Path, text: str) -> None:
    name = file_name(text, ".png")
    if (folder / name).resolve().parent != folder.resolve() or id_of(name, ".png") != text:
        raise AssertionError(f"{text!r} became {name!r}")


def _printed_plainly(text: str) -> str | None:
    console = PlainConsole(width=500, record=True, file=io.StringIO())
    try:
        console.print(text)
    except BaseException as error:
        return f"{type(error).__name__} at {text!r}"
    shown = console.export_text()
    if any(ord(letter) < 32 and letter not in "\n\t" for letter in shown):
        return f"a control character of {text!r} is printed"
    cell = str(escaped(text))
    dangerous = cell[:1] in "=+-@" and cell[:1] != "" and not _is_number(cell)
    return f"{text!r} is a formula" if dangerous or unescaped(cell) != text else None


def _is_number(text: str) -> bool:
    with suppress(ValueError):
        float(text)
        return True
    return False


# --- stores, kills and races, in forked processes


def store_trials(folder: Path) -> Iterator[Trial]:
    def text(path: Path) -> None:
        path.write_text("text " * 500)

    def foreign(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE x (y)")

    def link(path: Path) -> None:
        path.symlink_to(path.name)

    def header(path: Path) -> None:
        path.write_bytes(b"SQLite format 3\x00" + bytes(4000))

    for number, make in enumerate((Path.mkdir, Path.touch, text, foreign, link, header)):
        path = folder / f"store-{number}.db"
        make(path)
        before = path.read_bytes() if path.is_file() else None
        for name in ("stored", "find"):

            def read(path: Path = path, before: bytes | None = before, name: str = name) -> None:
                tracker = Tracker(f"sqlite:///{path}")
                _ = tracker.stored() if name == "stored" else tracker.find("0123abcd")
                raise AssertionError("it was read as a store")

            def untouched(
                path: Path = path, before: bytes | None = before, read: Callable[[], None] = read
            ) -> str | None:
                fault = refused(read)
                changed = path.is_file() and path.read_bytes() != before
                return f"{path.name} was changed" if changed else fault

            yield "stores", untouched


def _write_on(path: Path) -> None:
    for number in range(1_000_000):
        with whole_file(path) as temporary:
            temporary.write_bytes(bytes([number % 256]) * 2_000_000)


def _make(path: Path) -> None:
    with workshop(path) as folder:
        for number in range(1_000_000):
            (folder / f"{number % 50}").write_bytes(bytes(100_000))


def _killed(work: Callable[[Path], None], path: Path, seconds: float) -> None:
    process = FORK.Process(target=work, args=(path,))
    process.start()
    time.sleep(seconds)
    process.kill()
    process.join()


def kill_trials(folder: Path, random_: random.Random, number: int) -> Iterator[Trial]:
    file, made = folder / "kills" / "file", folder / "makers" / "made"
    for _ in range(number):

        def whole() -> str | None:
            _killed(_write_on, file, random_.uniform(0.0, 0.06))
            content = file.read_bytes() if file.exists() else b""
            return None if not content or content == content[:1] * 2_000_000 else "half a file"

        def clean() -> str | None:
            _killed(_make, made, random_.uniform(0.0, 0.06))
            with workshop(made):
                pass
            left = [path.name for path in made.parent.iterdir() if ".unfinished-" in path.name]
            return f"left: {left}" if left else None

        yield "kill -9 while a file is written", whole
        yield "kill -9 while a folder is made", clean


def _open_and_finish(uri: str, barrier: object, answers: object) -> None:
    try:
        tracker = Tracker(uri)
        barrier.wait(30)  # type: ignore[attr-defined]
        live = tracker.start(
            experiment="race",
            description="",
            name="run",
            params={},
            tags={"bench.identity": "same"},
            dataset=DatasetInput("glas", "/data", "d", {}),
        )
        if tracker.rivals("race", "same", live.id) or tracker.finished("race", "same"):
            live.abandon()
            tracker.withdraw(live.id)
            answers.put("withdrawn")  # type: ignore[attr-defined]
        else:
            time.sleep(0.5)
            live.finish()
            answers.put("done")  # type: ignore[attr-defined]
    except BaseException as error:
        answers.put(f"{type(error).__name__}: {error}")  # type: ignore[attr-defined]


def race_trials(folder: Path, number: int, racers: int = 3) -> Iterator[Trial]:
    for trial in range(number):

        def race(trial: int = trial) -> str | None:
            uri = f"sqlite:///{folder / f'race-{trial}.db'}"
            Tracker(uri, cache=folder / "tables").connect()
            barrier, answers = FORK.Barrier(racers), FORK.Queue()
            processes = [FORK.Process(target=_open_and_finish, args=(uri, barrier, answers)) for _ in range(racers)]
            for process in processes:
                process.start()
            told = [answers.get(timeout=120) for _ in processes]
            for process in processes:
                process.join()
            runs = Tracker(uri).stored()
            states = Counter(run.status for run in runs)
            good = Counter(told) == Counter({"done": 1, "withdrawn": racers - 1}) and states == Counter({"FINISHED": 1})
            return None if good else f"{told}, stored: {dict(states)}"

        yield "races for one run", race


# --- the command itself


def signal_trials(folder: Path, random_: random.Random, number: int) -> Iterator[Trial]:
    """Each run is stopped by a signal at a random moment, then resumed; its metrics are those of one left in peace."""
    peace = _metrics(folder / "peace", _bench(folder / "peace"))
    for trial in range(number):

        def stop(trial: int = trial) -> str | None:
            how = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[trial % 4]
            home = folder / f"signal-{trial}"
            process = _begin(home)
            with suppress(subprocess.TimeoutExpired):
                process.wait(random_.uniform(0.1, 4.0))
            process.send_signal(how)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                return f"did not end within 30 s of {how.name}"
            code = _bench(home)
            return None if _metrics(home, code) == peace else f"other numbers after {how.name} (exit code {code})"

        yield "signals to bench run", stop


def _begin(home: Path) -> subprocess.Popen[bytes]:
    home.mkdir(exist_ok=True)
    words = ["run", "--method", "constant", "--dataset", "glas", "--data", "synthetic", "--synthetic-slides", "4"]
    words += ["--preset", "smoke", "--jobs", "0"]
    environment = {**os.environ, "BENCH_CACHE": str(home.parent / "cache"), "OMP_NUM_THREADS": "1"}
    words += ["--store", f"sqlite:///{home / 'mlflow.db'}"]
    quiet = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-m", "benchmark", *words], env=environment, stdout=quiet, stderr=quiet)


def _bench(home: Path) -> int:
    return _begin(home).wait(300)


def _metrics(home: Path, code: int) -> dict[str, float] | None:
    if code:
        return None
    done = [run for run in Tracker(f"sqlite:///{home / 'mlflow.db'}").stored() if run.status == "FINISHED"]
    if len(done) != 1:
        return None
    return {name: value for name, value in done[0].metrics.items() if not name.startswith(MEASURED_PREFIXES)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="fewer kills, races and signals")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and texts")
    for name, full in FULL.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"trials; default: {full}, short: {SHORT[name]}")
    options = parser.parse_args()
    random_ = random.Random(options.seed)
    usual = SHORT if options.short else FULL
    kills, races, signals = (
        usual[name] if (asked := getattr(options, name)) is None else asked for name in ("kills", "races", "signals")
    )
    done: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    faults: list[tuple[str, str]] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-faults-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        for name in ("kills", "makers"):
            (folder / name).mkdir()
        trials = [
            *(yaml_trials(folder), annotation_trials(folder), text_trials(folder, random_), store_trials(folder)),
            *(kill_trials(folder, random_, kills), race_trials(folder, races), signal_trials(folder, random_, signals)),
        ]
        for kind, trial in (trial for group in trials for trial in group):
            start = time.monotonic()
            fault = trial()
            done[kind] += 1
            seconds[kind] += time.monotonic() - start
            if fault is not None:
                faults.append((kind, fault))
    broken = Counter(kind for kind, _ in faults)
    print(f"{'kind':34} trials  as they should be  seconds")
    for kind, number in done.items():
        print(f"{kind:34} {number:6}  {number - broken[kind]:17}  {seconds[kind]:7.1f}")
    total = done.total()
    print(f"{'all':34} {total:6}  {total - len(faults):17}  {time.monotonic() - began:7.1f}")
    for kind, fault in faults:
        print(f"NOT AS IT SHOULD BE  {kind}: {fault}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
