"""A study that is being worked on: asks Optuna for settings and tells it what they gave.

What is asked for depends on the sampler's seed, the trial's number and the trials complete before, on nothing that a
kill could lose: a study that is killed and resumed, one trial at a time, ends like one that was not killed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from benchmark.errors import StudyError
from benchmark.tracking.owner import alive_tag, orphaned, owner_tags
from benchmark.tuning.samplers import pruner_of, sampler_of
from benchmark.tuning.space import Dimension, Space, dimension_of
from benchmark.tuning.stored_study import (
    BOUNDED,
    FACTS,
    OWNER,
    REASON,
    RUN,
    RUN_FILE,
    SECONDS,
    Trial,
    best_of,
    trials_of,
)
from benchmark.tuning.study_storage import (
    BEAT_SECONDS,
    artifacts_of,
    lock_of,
    open_storage,
    quiet,
    storage_errors,
    try_storage,
)
from benchmark.tuning.sweep_file import SweepFile

if TYPE_CHECKING:
    from benchmark.tuning.study_figures import Figures

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Asked:
    """One trial to be done: its number in the study and the values of its parameters."""

    number: int
    params: Mapping[str, Any]


def answered(method: Callable[Concatenate[Study, P], R]) -> Callable[Concatenate[Study, P], R]:
    """A method of the study that raises `StudyError` when the storage does not answer."""

    @wraps(method)
    def asked(study: Study, /, *values: P.args, **named: P.kwargs) -> R:
        with storage_errors(study.address):
            return method(study, *values, **named)

    return asked


class Study:
    """An open study. Every method raises `StudyError` when the storage does not answer."""

    def __init__(
        self, storage: str, name: str, file: SweepFile, space: Space, facts: Mapping[str, Any], run: str
    ) -> None:
        """Open the study or make it, with the preset's setting as its first trial; `run` is that setting's run file.

        Raises `StudyError` when the study of that name searches something else: its `facts` differ.
        """
        self.name, self._file, self._space, self.address = name, file, space, storage
        self._open: dict[int, optuna.Trial] = {}
        self._last_beat = 0.0
        self._storage = open_storage(storage)
        self._lock = lock_of(storage, name)
        with self._lock:
            self._study = try_storage(
                lambda: optuna.create_study(
                    storage=self._storage,
                    study_name=name,
                    directions=[objective.direction for objective in file.objectives],
                    load_if_exists=True,
                    pruner=pruner_of(file.pruner),
                ),
                storage,
            )
            self._check_facts(dict(facts))
        self.published_run = str(self.set_default(RUN_FILE, run))

    def _check_facts(self, facts: dict[str, Any]) -> None:
        """Compare with the facts that the study began with; a new study gets them, and its first trial."""
        before = self._study.user_attrs.get(FACTS)
        if before is None:
            with quiet():
                self._study.set_metric_names([objective.metric for objective in self._file.objectives])
            first = {name: self._space[name].label(value) for name, value in facts["published"].items()}
            self._study.enqueue_trial(first, skip_if_exists=True)
            self._study.set_user_attr(FACTS, facts)
            return
        changes = differences(before, json.loads(json.dumps(facts)))
        if changes:
            message = f"there is a study {self.name!r} that searches something else: {'; '.join(changes)}"
            raise StudyError(message, fix=f"--study {self.name}-2, or the settings that it began with")

    @answered
    def get(self, key: str) -> Any:
        """The note that the study has under that key, or None."""
        return self._study.user_attrs.get(key)

    @answered
    def set(self, key: str, value: Any) -> None:
        """Keep a note with the study."""
        self._study.set_user_attr(key, value)

    @answered
    def set_default(self, key: str, value: Any) -> Any:
        """Keep a note with the study unless it has one under that key; returns the one it has now."""
        with self._lock:
            if self.get(key) is None:
                self.set(key, value)
            return self.get(key)

    @answered
    def ask(self, limit: int) -> Asked | None:
        """The next trial, or one whose process died; None when `limit` are done or under way, or patience has ended."""
        with self._lock:
            abandoned = self._adopt()
            if abandoned is not None:
                return abandoned
            if self.stagnant():
                return None
            trials = self._study.get_trials(deepcopy=False)
            with quiet():
                retried_number = optuna.storages.RetryHeartbeatStaleTrialCallback.retried_trial_number
                retried = {retried_number(trial) for trial in trials}
            begun = [trial for trial in trials if trial.state is not TrialState.WAITING and trial.number not in retried]
            if len(begun) >= limit:
                return None
            self._study.sampler = sampler_of(self._file.sampler, len(trials))
            with quiet():
                return self._begin(self._study.ask())

    def _adopt(self) -> Asked | None:
        """Take over a trial whose process died, under its own number and with its own values.

        `ask` and `enqueue_trial`, Optuna's usual way, would make it a new trial: of another number, and so of another
        seed. The rest is left to Optuna, which fails trials without a heartbeat and queues copies of them.
        """
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            owner = trial.user_attrs.get(OWNER)
            if trial.number not in self._open and (owner is None or orphaned(owner)):
                self._study.sampler = sampler_of(self._file.sampler, trial.number)
                return self._begin(optuna.Trial(self._study, self._id(trial.number)))
        if isinstance(self._storage, optuna.storages.RDBStorage):
            with quiet():
                optuna.storages.fail_stale_trials(self._study)
        return None

    def _begin(self, trial: optuna.Trial) -> Asked:
        trial.set_user_attr(OWNER, owner_tags())
        chosen: dict[str, Any] = {}
        for dimension in self._space.dimensions:
            if self._space.active(dimension, chosen):
                chosen[dimension.name] = _suggest(trial, dimension)
        self._open[trial.number] = trial
        self._beat(trial)
        return Asked(trial.number, chosen)

    def _id(self, number: int) -> int:
        """The storage's id of a trial."""
        study_id = self._storage.get_study_id_from_name(self.name)
        return self._storage.get_trial_id_from_study_id_trial_number(study_id, number)

    @answered
    def report(self, number: int, step: int, value: float) -> bool:
        """Add a point of a trial's curve; True when the trial is to be pruned.

        A resumed trial logs again what it logged before it was killed: those steps prune nothing.
        """
        trial = self._open[number]
        if step in self._storage.get_trial(self._id(number)).intermediate_values:
            return False
        objective = self._file.objectives[0].direction
        sign = 1.0 if self._file.pruner.direction in (None, objective) else -1.0
        trial.report(sign * value, step)
        return bool(trial.should_prune())

    @answered
    def complete(
        self,
        number: int,
        values: Sequence[float],
        seconds: float,
        bounded: Sequence[float] = (),
        pictures: Path | None = None,
    ) -> Trial:
        """Store a trial that is complete: its objectives, the values of the metrics that have bounds, its pictures."""
        notes: dict[str, Any] = {SECONDS: seconds}
        if self._file.constraints:
            kept = list(zip(self._file.constraints, bounded, strict=True))
            notes[BOUNDED] = {constraint.text: value for constraint, value in kept}
            for constraint, value in kept:
                if constraint.text not in self._open[number].constraints:  # set before it was killed
                    self._open[number].set_constraint(constraint.text, constraint.excess(value))
        if pictures is not None and pictures.is_dir():
            self._attach(self._open[number], sorted(pictures.iterdir()))
        self._close(number, notes, TrialState.COMPLETE, list(values))
        return self.trials()[number]

    def _attach(self, trial: optuna.Trial, files: Sequence[Path]) -> None:
        """Keep files with a trial, where Optuna's dashboard shows them."""
        folder = artifacts_of(self.address)
        folder.mkdir(parents=True, exist_ok=True)
        store = optuna.artifacts.FileSystemArtifactStore(folder)
        with quiet():
            for file in files:
                optuna.artifacts.upload_artifact(artifact_store=store, file_path=str(file), study_or_trial=trial)

    @answered
    def give_up(self, number: int, state: Literal["pruned", "failed"], reason: str, seconds: float) -> None:
        """Store that a trial was pruned or failed, and why."""
        trial_state = TrialState.PRUNED if state == "pruned" else TrialState.FAIL
        self._close(number, {REASON: reason, SECONDS: seconds}, trial_state, None)

    @answered
    def release(self, number: int) -> None:
        """Leave a trial unfinished, to whoever resumes the study."""
        trial = self._open.pop(number)
        trial.set_user_attr(OWNER, None)

    def _close(self, number: int, notes: Mapping[str, Any], state: TrialState, values: list[float] | None) -> None:
        trial = self._open.pop(number)

        def tell() -> None:
            for key, value in notes.items():
                trial.set_user_attr(key, value)
            self._study.tell(trial, values, state, skip_if_finished=True)

        try_storage(tell, self.address)

    @answered
    def shared(self) -> bool:
        """Whether another command is at work on a trial of this study. Waits for a locked storage."""
        states = (TrialState.RUNNING,)
        running = try_storage(lambda: self._study.get_trials(deepcopy=False, states=states), self.address)
        owners = [trial.user_attrs.get(OWNER) for trial in running if trial.number not in self._open]
        return any(owner is not None and not orphaned(owner) for owner in owners)

    @answered
    def set_run(self, number: int, run: str) -> None:
        """Keep the id of a trial's run in the tracking store."""
        self._open[number].set_user_attr(RUN, run)

    @answered
    def beat(self) -> None:
        """Tell the storage, now and then, that the open trials are at work."""
        if time.monotonic() - self._last_beat > BEAT_SECONDS:
            self._last_beat = time.monotonic()
            for trial in self._open.values():
                self._beat(trial)

    def _beat(self, trial: optuna.Trial) -> None:
        if isinstance(self._storage, optuna.storages.RDBStorage):
            self._storage.record_heartbeat(self._id(trial.number))
        trial.set_user_attr(OWNER, {**owner_tags(), **alive_tag()})

    @answered
    def stagnant(self) -> bool:
        """Whether the last `patience` complete trials that break no bound were no better than the best."""
        if self._file.patience is None:
            return False
        states = (TrialState.COMPLETE,)
        feasible = [
            trial
            for trial in self._study.get_trials(deepcopy=False, states=states)
            if all(excess <= 0 for excess in trial.constraints.values())
        ]
        with quiet():
            rule = optuna.terminator.BestValueStagnationEvaluator(self._file.patience)
            return bool(feasible) and rule.evaluate(feasible, self._study.direction) <= 0

    @answered
    def early_end(self) -> str:
        """Why there are fewer trials than asked for, where patience ended the study; else nothing."""
        ended = sum(trial.state.is_finished() for trial in self._study.get_trials(deepcopy=False))
        if ended >= self._file.trials or not self.stagnant():
            return ""
        return f"Ended after {ended} trials: the last {self._file.patience} complete ones were no better than the best."

    @answered
    def trials(self) -> list[Trial]:
        """All trials by number."""
        return trials_of(self._study, self._space)

    @answered
    def best(self) -> list[Trial]:
        """The trials that no other is better than in every objective, best first."""
        return best_of(self._study, self._space)

    def importances(self, objective: int = 0) -> dict[str, float]:
        """Share of an objective's variance that each parameter explains (fANOVA), largest first; {} if unknown."""
        names = [dimension.name for dimension in self._space if not dimension.when]
        with suppress(ValueError, RuntimeError, ZeroDivisionError):
            shares = optuna.importance.get_param_importances(
                self._study,
                evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
                params=names,
                target=lambda trial: trial.values[objective],
            )
            return {name: float(share) for name, share in shares.items()}
        return {}

    def figures(self, folder: Path) -> Figures:
        """Draw the study; PNG files go into `folder`."""
        from benchmark.tuning.study_figures import draw

        ranked = self.importances() or {dimension.name: 0.0 for dimension in self._space}
        metrics = [objective.metric for objective in self._file.objectives]
        return draw(self._study, metrics, list(ranked), folder, self._file.pruner.watch)


def _suggest(trial: optuna.Trial, dimension: Dimension) -> Any:
    """Draw a value. One at a time, for `when` decides which dimension is next; `ask` takes a fixed set of them."""
    name, distribution = dimension.name, dimension.distribution
    if isinstance(distribution, CategoricalDistribution):
        return dimension.value(trial.suggest_categorical(name, distribution.choices))
    low, high, log = distribution.low, distribution.high, distribution.log
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high, step=distribution.step, log=log)
    return trial.suggest_float(name, low, high, step=distribution.step, log=log)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How the facts of two studies differ, in words: `V: 1.25 … 16, now 1 … 4`."""
    changes = []
    for key in {**before, **now}:
        old, new = before.get(key), now.get(key)
        if key == "space":
            old, new = ({facts["name"]: facts for facts in dimensions} for dimensions in (old or [], new or []))
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
            changes += [f"{key}.{name}: {_short(old.get(name))}, now {_short(new.get(name))}" for name in names]
        elif old != new:
            changes.append(f"{key}: {_short(old)}, now {_short(new)}")
    return changes[:4] + ([f"and {len(changes) - 4} more"] if len(changes) > 4 else [])


def _short(value: Any) -> str:
    """A value in few words; a dimension as its range."""
    if isinstance(value, Mapping) and "distribution" in value:
        return dimension_of(value).text
    text = "absent" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
