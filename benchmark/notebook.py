"""The library's results for a notebook, as data frames: `benchmark.results` and `benchmark.leaderboard`.

Here, and in the verbs, the store (`tracking/`) and what reads it (`reporting/`) come together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from benchmark.reporting.label_cost import CostModel
from benchmark.reporting.leaderboard.build_boards import Filters
from benchmark.reporting.leaderboard.build_leaderboard import build_leaderboard, needed_metrics
from benchmark.reporting.leaderboard.leaderboard_frame import as_frame
from benchmark.reporting.leaderboard.standings_model import Leaderboard
from benchmark.reporting.references import Reference
from benchmark.stored import Artifacts, StoredRun, with_numbers
from benchmark.tracking.artifacts import StoreArtifacts
from benchmark.tracking.offline_store import open_store
from benchmark.tracking.store import Tracker

if TYPE_CHECKING:
    from pandas import DataFrame

    from benchmark.publishing.published_board import PublishedBoard

Names = str | Iterable[str]

TEXTS = ("method", "dataset", "preset", "supervision", "variant", "settings", "state", "reason", "device", "code")


def results(
    store: str | None = None, *, method: Names = (), dataset: Names = (), metrics: Sequence[str] | None = None
) -> DataFrame:
    """Every run of a store, a row each, those that ended last first; the index is the run's id.

    | column | dtype | |
    |---|---|---|
    | method, dataset, preset | str | names |
    | seed | Int64 | `<NA>` where a run has none |
    | supervision | str | the kinds of label it uses, joined by `+`, or `none` |
    | refit | bool | fitted on training and validation slides together |
    | variant | str | the parameters that differ from the preset, `name=value`; empty for none |
    | settings | str | the same for the options of the dataset |
    | synthetic | bool | True for painted or composed data |
    | complete | bool | False when test slides were missing |
    | status | str | MLflow's: FINISHED, FAILED, KILLED, RUNNING |
    | state, reason | str | ours: ok, failed, timed out, interrupted, not applicable …; why |
    | started, ended | datetime64[ms, UTC] | `NaT` while it runs |
    | device, code | str | cpu, cuda:0 …; the version of the code |
    | one per metric | float64 | NaN where the run does not have it |

    Metrics are called as MLflow shows them: `pixel/miou`, the ends of its interval `pixel/miou.low` and `.high`, of a
    subset `testA/pixel/miou`, label counts `labels/…`, costs `cost/…`.

    Args:
        store: address of the MLflow store; by default MLFLOW_TRACKING_URI, else ./mlflow.db.
        method: only these methods.
        dataset: only these datasets.
        metrics: only these, names or prefixes that end in `/`; None for all.

    Raises:
        TrackingError: there is no store, or it cannot be read.
    """
    from pandas import DataFrame, Index, to_datetime, to_numeric

    filters = Filters(methods=_names(method), datasets=_names(dataset))
    tracker = open_store(store)
    runs = [run for run in tracker.stored(metrics=metrics) if "bench.method" in run.tags and filters.admits(run)]
    with StoreArtifacts(tracker) as artifacts:
        runs = [with_numbers(artifacts, run, metrics) for run in runs]
    frame = DataFrame([_facts(run) for run in runs], columns=list(_facts(_NO_RUN)))
    frame = frame.astype(
        {**dict.fromkeys((*TEXTS, "status"), "str"), **dict.fromkeys(("refit", "synthetic", "complete"), bool)}
    )
    frame["seed"] = to_numeric(frame["seed"]).astype("Int64")
    for name in ("started", "ended"):
        times = frame[name].astype("Int64")
        frame[name] = to_datetime(times.where(times > 0), unit="ms", utc=True).astype("datetime64[ms, UTC]")
    frame.index = Index([run.id for run in runs], name="run", dtype="str")
    numbers = DataFrame([run.metrics for run in runs], index=frame.index, dtype="float64")
    return frame.join(numbers.sort_index(axis=1))


def leaderboard(
    dataset: Names = (),
    *,
    store: str | None = None,
    method: Names = (),
    metrics: Sequence[str] = (),
    supervision: Names = (),
    preset: Names = (),
    tests: bool = True,
) -> DataFrame:
    """The leaderboard of `bench leaderboard`, a row per board, row and metric, with nothing rounded.

    | column | dtype | |
    |---|---|---|
    | dataset, settings, data | str | the board: name, options that differ, `real` or `synthetic` |
    | slides, expected | int64 | test slides used, and those that should be there |
    | supervision, method, variant, preset | str | the row; `variant`: parameters that differ from the preset |
    | refit | bool | fitted on training and validation slides together |
    | seeds | str | with blanks between: `0 1 2` |
    | metric | str | `pixel/miou` |
    | mean, std | float64 | over seeds (ddof = 1); `std` is NaN for one seed |
    | low, high | float64 | 95 % interval over patients, mean of the seeds' ends; NaN where there is none |
    | rank | str | in its track: `1`, `1=` for a tie, `(3)` untested; empty where the metric does not rank |
    | labels, minutes | str, float64 | what was annotated, and an estimate of an expert's minutes |
    | seconds, cpu_seconds, peak_mib | float64 | mean over seeds |
    | runs | str | ids of the runs, with blanks between |
    | published_in | str | the published board that the row was read from; empty for one of the store |

    `frame.pivot_table("mean", ["method", "variant", "preset"], "metric")` puts the metrics side by side.

    Args:
        dataset: only these datasets.
        store: address of the MLflow store; by default MLFLOW_TRACKING_URI, else ./mlflow.db.
        method: only these methods.
        metrics: only these metrics.
        supervision: only these tracks.
        preset: only these presets.
        tests: make the paired tests that ranks rest on.

    Raises:
        TrackingError: there is no store, or it cannot be read.
        ConfigError: a metric that does not exist.
    """
    filters = Filters(_names(method), _names(dataset), tuple(metrics), _names(supervision), _names(preset))
    return as_frame(read_leaderboard(open_store(store), filters, tests=tests), filters)


def read_leaderboard(
    tracker: Tracker | None,
    filters: Filters,
    *,
    cost: CostModel | None = None,
    published: Sequence[Reference] | None = None,
    tests: bool = True,
    options: Sequence[str] = (),
    folders: Sequence[PublishedBoard] = (),
    goal: float | None = None,
) -> Leaderboard:
    """The leaderboard of a store and of published boards, see `build_leaderboard`.

    `tests`: make the paired tests. `options`: those of commands that repeat a run. `folders`: published boards; a run
    that the store, or an earlier one of them, has is not counted twice. Without a `tracker` they stand alone.
    `goal`: of curves over budgets.
    """
    wanted = needed_metrics(filters, published)
    sources = [*([] if tracker is None else [tracker.stored(metrics=wanted)]), *(f.stored(wanted) for f in folders)]
    first = {run.id: run for runs in reversed(sources) for run in runs}
    with board_artifacts(tracker, folders) as artifacts:
        return build_leaderboard(
            sorted(first.values(), key=lambda run: (-run.ended, -run.started, run.id)),
            filters,
            store=", ".join([*([] if tracker is None else [tracker.shown]), *(str(f.folder) for f in folders)]),
            artifacts=artifacts,
            cost=cost,
            published=published,
            options=options,
            tests=tests,
            goal=goal,
        )


@contextmanager
def board_artifacts(tracker: Tracker | None, folders: Sequence[PublishedBoard]) -> Iterator[Artifacts]:
    """The artifacts of a store's runs and of published boards, of either alone where the other is lacking."""
    with ExitStack() as stack:
        own = None if tracker is None else stack.enter_context(StoreArtifacts(tracker))
        if own is not None and not folders:
            yield own
            return
        from benchmark.publishing.published_board import BoardArtifacts

        yield stack.enter_context(BoardArtifacts(folders, own))


_NO_RUN = StoredRun("", "", "", {}, {}, {}, "")


def _facts(run: StoredRun) -> dict[str, Any]:
    text = {name: run.tags.get(f"bench.{name}", "") for name in TEXTS}
    return {
        **{name: text[name] for name in ("method", "dataset", "preset")},
        "seed": run.tag("seed"),
        "supervision": text["supervision"],
        "refit": run.tag("refit") == "true",
        **{name: text[name] for name in ("variant", "settings")},
        "synthetic": run.tag("data_kind") == "synthetic",
        "complete": run.tags.get("bench.complete", "true") == "true",
        "status": run.status,
        **{name: text[name] for name in ("state", "reason")},
        "started": run.started,
        "ended": run.ended,
        **{name: text[name] for name in ("device", "code")},
    }


def _names(given: Names) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
