"""A study as Optuna's storage has it: its trials as values and as a data frame, and which of them are best."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from benchmark.csv_text import csv_text
from benchmark.errors import StudyError
from benchmark.near_names import near_names
from benchmark.tracking.address import shown
from benchmark.tuning.space import Space, dimension_of
from benchmark.tuning.study_storage import exists, open_storage, storage_of, try_storage
from benchmark.tuning.sweep_file import Constraint

if TYPE_CHECKING:
    from pandas import DataFrame

FACTS, CODE, PARENT, RUN_FILE = "bench.facts", "bench.code", "bench.parent", "bench.run_file"
"""Notes of a study: what its trials have in common, the method's code, its run, the first trial's run file."""
OWNER, REASON, RUN, SECONDS = "bench.owner", "bench.reason", "bench.run", "bench.seconds"
BOUNDED = "bench.bounded"
"""Notes of a trial: the process at work on it, why it ended early, its run in the tracking store, its time; the values
of the metrics that have bounds."""

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class Trial:
    """One trial of a study. `values`: one per objective, empty unless the trial is complete.

    `bounded`: constraint, as `image/sensitivity >= 0.95` → the trial's value of its metric; `excess`: by how much that
    misses the bound, 0 or less where it keeps it.
    """

    number: int
    state: str
    params: Mapping[str, Any]
    values: tuple[float, ...] = ()
    reason: str = ""
    run: str = ""
    seconds: float = 0.0
    curve: Mapping[int, float] = field(default_factory=dict)
    bounded: Mapping[str, float] = field(default_factory=dict)
    excess: Mapping[str, float] = field(default_factory=dict)

    @property
    def broken(self) -> list[str]:
        """The constraints that it does not keep."""
        return [bound for bound, excess in self.excess.items() if excess > 0]

    def facts(self) -> dict[str, Any]:
        """The trial as plain JSON, nothing rounded."""
        facts = {**vars(self), "params": dict(self.params), "curve": dict(self.curve)}
        bounds = {"bounded": dict(self.bounded), "excess": dict(self.excess)}
        if not self.excess:  # a study without constraints has the facts that it always had
            return {name: value for name, value in facts.items() if name not in bounds}
        return {**facts, **bounds}


@dataclass(frozen=True)
class StoredStudy:
    """A study to be looked at. `best`: the trials that no other is better than, best first."""

    name: str
    facts: Mapping[str, Any]
    space: Space
    trials: Sequence[Trial]
    best: Sequence[Trial]
    parent: str
    published_run: str

    @property
    def metrics(self) -> list[str]:
        """The objectives."""
        return [metric for metric, _ in self.facts["objectives"]]

    @property
    def constraints(self) -> list[str]:
        """The bounds, as `image/sensitivity >= 0.95`."""
        return [Constraint(**bound).text for bound in self.facts.get("constraints", ())]

    def count(self, state: str) -> int:
        """Number of trials in a state."""
        return sum(trial.state == state for trial in self.trials)


def stored_studies(storage: str, name: str | None = None, *, missing_ok: bool = False) -> list[StoredStudy]:
    """The studies that `bench sweep` made, by name, or only the one called `name`.

    Raises `StudyError` where there is none, unless `missing_ok`.
    """
    if missing_ok and not exists(storage):
        return []
    backend = open_storage(storage, make=False)
    studies = []
    names = sorted(try_storage(lambda: optuna.get_all_study_names(backend), storage))
    for known in names:
        study = optuna.load_study(study_name=known, storage=backend)
        if FACTS in study.user_attrs and name in (None, known):
            studies.append(_stored(study))
    if not studies and not missing_ok:
        near = near_names(name or "", names, cutoff=0.4)
        hint = f"; the nearest: {', '.join(near)}" if near else ""
        message = f"there is no study {'' if name is None else f'{name!r} '}in {shown(storage)}{hint}"
        raise StudyError(message, fix="bench sweep list --storage URL" if name else "bench sweep oeem --dataset glas")
    return studies


def _stored(study: optuna.Study) -> StoredStudy:
    notes = study.user_attrs
    space = Space(tuple(map(dimension_of, notes[FACTS]["space"])), {})
    return StoredStudy(
        study.study_name,
        notes[FACTS],
        space,
        trials_of(study, space),
        best_of(study, space),
        str(notes.get(PARENT) or ""),
        str(notes.get(RUN_FILE) or ""),
    )


def trials_of(study: optuna.Study, space: Space) -> list[Trial]:
    """All trials of a study, by number."""
    return [trial_of(frozen, space) for frozen in study.get_trials(deepcopy=False)]


def best_of(study: optuna.Study, space: Space) -> list[Trial]:
    """The trials that no other is better than in every objective; best in the first objective first, then by number.

    One that breaks a constraint is never among them.
    """
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return []
    sign = -1.0 if study.directions[0] is StudyDirection.MAXIMIZE else 1.0
    front = [trial_of(frozen, space) for frozen in study.best_trials]
    return sorted(front, key=lambda trial: (sign * trial.values[0], trial.number))


def no_feasible(trials: Sequence[Trial]) -> str:
    """What to say when every complete trial breaks a constraint: which came nearest, and its values."""
    complete = [trial for trial in trials if trial.values]
    nearest = min(complete, key=lambda trial: sum(max(excess, 0.0) for excess in trial.excess.values()))
    missed = ", ".join(f"{bound.partition(' ')[0]} {nearest.bounded[bound]:.4f}" for bound in nearest.broken)
    bounds = " and ".join(nearest.excess)
    return (
        f"none of {len(complete)} complete trials keeps {bounds}; the nearest is trial {nearest.number} with {missed}"
    )


def trial_of(frozen: FrozenTrial, space: Space) -> Trial:
    """Optuna's trial with the choices of `space` in place of their labels."""
    return Trial(
        number=frozen.number,
        state=STATES[frozen.state],
        params={name: space[name].value(value) if name in space else value for name, value in frozen.params.items()},
        values=tuple(frozen.values) if frozen.state is TrialState.COMPLETE and frozen.values else (),
        reason=str(frozen.user_attrs.get(REASON, "")),
        run=str(frozen.user_attrs.get(RUN, "")),
        seconds=float(frozen.user_attrs.get(SECONDS, 0.0)),
        curve=dict(frozen.intermediate_values),
        bounded=dict(frozen.user_attrs.get(BOUNDED, {})),
        excess=dict(frozen.constraints),
    )


def trials(study: str, storage: str | None = None) -> DataFrame:
    """The trials of a study, one row each, by number: `benchmark.trials("oeem-glas-quick")` in a notebook.

    Args:
        study: its name, as `bench sweep list` shows it.
        storage: URL or journal file; None: `BENCH_STUDIES`, else `sqlite:///studies.db`.

    Returns:
        A data frame with these columns, also those of `trials.csv` and `bench sweep export`:

        * `trial` (int64) and `state` (string): complete, pruned, failed, running or waiting;
        * one per objective, named by its metric (float64): the validation value, NaN unless complete;
        * one per constraint, named by it (`image/sensitivity >= 0.95`, float64): the value of its metric, likewise;
        * one per searched parameter, missing where it was inactive: Float64, Int64 for whole numbers, string for
          choices (text as it is, anything else as JSON: `true`, `null`, `[1.0, 1.5]`);
        * `seconds` (float64, NaN until the trial has ended), `run` (string, id in the tracking store) and
          `reason` (string), both empty where there is none.

    Raises:
        StudyError: there is no such study, or the storage cannot be used.
    """
    stored = stored_studies(storage_of(storage), study)[0]
    return frame_of(stored.trials, stored.metrics, stored.space, stored.constraints)


def frame_of(
    trials: Sequence[Trial], metrics: Sequence[str], space: Space, constraints: Sequence[str] = ()
) -> DataFrame:
    """Trials as a data frame; see `trials` for its columns."""
    import pandas as pd

    columns: list[pd.Series[Any]] = [
        pd.Series([trial.number for trial in trials], name="trial", dtype="int64"),
        pd.Series([trial.state for trial in trials], name="state", dtype="string"),
    ]
    for place, metric in enumerate(metrics):
        values = [trial.values[place] if trial.values else None for trial in trials]
        columns.append(pd.Series(values, name=metric, dtype="float64"))
    for bound in constraints:
        columns.append(pd.Series([trial.bounded.get(bound) for trial in trials], name=bound, dtype="float64"))
    for dimension in space:
        number = {FloatDistribution: "Float64", IntDistribution: "Int64"}.get(type(dimension.distribution))
        chosen: list[Any] = [trial.params.get(dimension.name, pd.NA) for trial in trials]
        if number is None:
            chosen = [value if value is pd.NA else _text(value) for value in chosen]
        columns.append(pd.Series(chosen, name=dimension.name, dtype=number or "string"))
    columns += [
        pd.Series([trial.seconds or None for trial in trials], name="seconds", dtype="float64"),
        pd.Series([trial.run for trial in trials], name="run", dtype="string"),
        pd.Series([trial.reason for trial in trials], name="reason", dtype="string"),
    ]
    return pd.concat(columns, axis=1)


def as_csv(frame: DataFrame) -> str:
    """As CSV, seconds to one digit; reading with `keep_default_na=False` tells the choice null from an inactive one."""
    return csv_text(frame.round({"seconds": 1}))


def _text(choice: Any) -> str:
    return choice if isinstance(choice, str) else json.dumps(choice, ensure_ascii=False)
