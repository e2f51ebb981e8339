"""A study in Optuna's storage: asks for settings, keeps what they gave, and draws the study. Nothing else knows Optuna.

What is asked for depends on the sampler's seed, the trial's number and the trials finished before, on nothing that a
kill could lose: a study that is killed and goes on, one trial at a time, ends like one that was not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from benchmark.errors import StudyError
from benchmark.seeds import seed_of
from benchmark.tracking.address import shown
from benchmark.tracking.owner import alive_tag, orphaned, owner_tags
from benchmark.tuning.dimension import Dimension, Space
from benchmark.tuning.study_storage import BEAT_SECONDS, exists, lock_of, open_storage, quiet, tried
from benchmark.tuning.sweep_file import Pruner, Sampler, SweepFile

if TYPE_CHECKING:
    from benchmark.tuning.study_figures import Figures

FACTS, CODE, PARENT, RUN_FILE = "bench.facts", "bench.code", "bench.parent", "bench.run_file"
OWNER, REASON, RUN, SECONDS = "bench.owner", "bench.reason", "bench.run", "bench.seconds"
WORDS = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class Asked:
    """One trial that is to be done: its number in the study and the values of its parameters."""

    number: int
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """One trial as the study has it. `values`: one per objective, those of complete trials alone."""

    number: int
    state: str
    params: Mapping[str, Any]
    values: tuple[float, ...] = ()
    reason: str = ""
    run: str = ""
    seconds: float = 0.0
    curve: Mapping[int, float] = field(default_factory=dict)


class Study:
    """A study that is open. Raises `StudyError` from every call when the storage does not answer."""

    def __init__(
        self, storage: str, name: str, file: SweepFile, space: Space, facts: Mapping[str, Any], run: str
    ) -> None:
        """Open the study or make it, with the published setting as its first trial; `run` is that setting's run file.

        Raises `StudyError` when a study of that name searches something else: `facts` differ from those it began with.
        """
        self.name, self._file, self._space = name, file, space
        self._signs = [1.0 if one.direction == "maximize" else -1.0 for one in file.objectives]
        self._open: dict[int, optuna.Trial] = {}
        self._beaten = 0.0
        self._storage = open_storage(storage)
        self._lock = lock_of(storage, name)
        with self._lock:
            self._study = tried(
                lambda: optuna.create_study(
                    storage=self._storage,
                    study_name=name,
                    directions=[one.direction for one in file.objectives],
                    load_if_exists=True,
                    pruner=_pruner(file.pruner),
                ),
                storage,
            )
            self._found(dict(facts))
        self.published_run = str(self.note(RUN_FILE, run))

    def _found(self, facts: dict[str, Any]) -> None:
        """Compare with what the study began with; a new one is told, and given its first trial."""
        kept = self._study.user_attrs.get(FACTS)
        if kept is None:
            with quiet():
                self._study.set_metric_names([one.metric for one in self._file.objectives])
            first = {name: self._label(name, value) for name, value in facts["published"].items()}
            self._study.enqueue_trial(first, skip_if_exists=True)
            self._study.set_user_attr(FACTS, facts)
            return
        told = differences(kept, json.loads(json.dumps(facts)))
        if told:
            what = f"there is a study {self.name!r} that searches something else: {'; '.join(told)}"
            raise StudyError(what, fix=f"--study {self.name}-2, or the settings that it began with")

    def note(self, key: str, value: Any) -> Any:
        """Keep a value with the study unless it has one under that key; returns the one it has now."""
        with self._lock:
            if self._study.user_attrs.get(key) is None:
                self._study.set_user_attr(key, value)
            return self._study.user_attrs[key]

    def kept(self, key: str) -> Any:
        """What the study has under that key, or None."""
        return self._study.user_attrs.get(key)

    def set(self, key: str, value: Any) -> None:
        """Keep a value with the study, whatever it had under that key."""
        self._study.set_user_attr(key, value)

    def ask(self, limit: int) -> Asked | None:
        """The next trial, or one whose process died; None when `limit` trials are done or under way."""
        with self._lock:
            left = self._adopted()
            if left is not None:
                return left
            trials = self._study.get_trials(deepcopy=False)
            with quiet():
                retried = {optuna.storages.RetryHeartbeatStaleTrialCallback.retried_trial_number(one) for one in trials}
            begun = [one for one in trials if one.state is not TrialState.WAITING and one.number not in retried]
            if len(begun) >= limit:
                return None
            self._study.sampler = _sampler(self._file.sampler, len(trials))
            with quiet():
                return self._begun(self._study.ask())

    def _adopted(self) -> Asked | None:
        """A trial that a dead process left behind goes on under its own number, with the values it had.

        Only what nobody can go on with here is left to Optuna, which fails it and queues another one like it.
        """
        for one in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            owner = one.user_attrs.get(OWNER)
            if one.number not in self._open and (owner is None or orphaned(owner)):
                self._study.sampler = _sampler(self._file.sampler, one.number)
                return self._begun(optuna.Trial(self._study, one._trial_id))  # what `ask` makes of a new one
        if isinstance(self._storage, optuna.storages.RDBStorage):
            with quiet():
                optuna.storages.fail_stale_trials(self._study)
        return None

    def _begun(self, trial: optuna.Trial) -> Asked:
        trial.set_user_attr(OWNER, owner_tags())
        chosen: dict[str, Any] = {}
        for one in self._space.dimensions:
            if self._space.active(one, chosen):
                chosen[one.name] = _suggested(trial, one)
        self._open[trial.number] = trial
        self._beat(trial)
        return Asked(trial.number, chosen)

    def _label(self, name: str, value: Any) -> Any:
        one = self._space[name]
        return one.label(value) if one.kind == "categorical" else value

    def report(self, number: int, step: int, value: float) -> bool:
        """Tell a point of a trial's curve; True when the trial is to be given up."""
        trial = self._open[number]
        watched = self._file.pruner.direction or self._file.objectives[0].direction
        sign = 1.0 if watched == self._file.objectives[0].direction else -1.0
        if step in self._study._storage.get_trial(trial._trial_id).intermediate_values:
            return False
        trial.report(sign * value, step)
        return bool(trial.should_prune())

    def done(self, number: int, values: Sequence[float], seconds: float) -> None:
        """A trial is complete."""
        self._close(number, {SECONDS: seconds}, TrialState.COMPLETE, list(values))

    def ended(self, number: int, state: Literal["pruned", "failed"], reason: str, seconds: float) -> None:
        """A trial was given up or failed; `reason` is kept with it."""
        kind = TrialState.PRUNED if state == "pruned" else TrialState.FAIL
        self._close(number, {REASON: reason, SECONDS: seconds}, kind, None)

    def release(self, number: int) -> None:
        """Leave a trial unfinished for whoever goes on with the study."""
        trial = self._open.pop(number)
        trial.set_user_attr(OWNER, None)

    def _close(self, number: int, notes: Mapping[str, Any], state: TrialState, values: list[float] | None) -> None:
        trial = self._open.pop(number)

        def tell() -> None:
            for key, value in notes.items():
                trial.set_user_attr(key, value)
            self._study.tell(trial, values, state, skip_if_finished=True)

        tried(tell, self.name)

    def shared(self) -> bool:
        """Whether another command is at work on a trial of this study. Waits for a locked storage."""
        states = (TrialState.RUNNING,)
        running = tried(lambda: self._study.get_trials(deepcopy=False, states=states), self.name)
        owners = [one.user_attrs.get(OWNER) for one in running if one.number not in self._open]
        return any(owner is not None and not orphaned(owner) for owner in owners)

    def told_run(self, number: int, run: str) -> None:
        """Keep the id of the trial's run in the tracking store."""
        self._open[number].set_user_attr(RUN, run)

    def beat(self) -> None:
        """Say, now and then, that the open trials are at work."""
        if time.monotonic() - self._beaten > BEAT_SECONDS:
            self._beaten = time.monotonic()
            for trial in self._open.values():
                self._beat(trial)

    def _beat(self, trial: optuna.Trial) -> None:
        if isinstance(self._storage, optuna.storages.RDBStorage):
            self._storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr(OWNER, {**owner_tags(), **alive_tag()})

    def trials(self) -> list[Trial]:
        """All trials by number."""
        return [_trial(one, self._space) for one in self._study.get_trials(deepcopy=False)]

    def best(self) -> list[Trial]:
        """The trials that no other is better than in every objective (one, with one objective), best first."""
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not complete:
            return []
        if len(self._signs) == 1:
            return [_trial(self._study.best_trial, self._space)]
        front = [_trial(one, self._space) for one in self._study.best_trials]
        return sorted(front, key=lambda one: (-self._signs[0] * one.values[0], one.number))

    def importances(self, objective: int = 0) -> dict[str, float]:
        """Share of an objective's spread that each parameter explains (fANOVA), largest first; {} if it cannot tell."""
        names = [one.name for one in self._space.dimensions if not one.when]
        with suppress(ValueError, RuntimeError, ZeroDivisionError):
            found = optuna.importance.get_param_importances(
                self._study,
                evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
                params=names,
                target=lambda trial: trial.values[objective],
            )
            return {name: float(value) for name, value in found.items()}
        return {}

    def figures(self, folder: Path) -> Figures:
        """Draw the study; PNG files go into `folder`."""
        from benchmark.tuning.study_figures import draw

        ranked = self.importances() or {one.name: 0.0 for one in self._space.dimensions}
        return draw(
            self._study, [one.metric for one in self._file.objectives], list(ranked), folder, self._file.pruner.watch
        )


@dataclass(frozen=True)
class StoredStudy:
    """A study as the storage has it, to be looked at. `best`: the trials that none is better than, best first."""

    name: str
    facts: Mapping[str, Any]
    trials: Sequence[Trial]
    best: Sequence[Trial]
    parent: str
    published_run: str

    @property
    def metrics(self) -> list[str]:
        """The objectives."""
        return [metric for metric, _ in self.facts["objectives"]]

    def count(self, state: str) -> int:
        """Trials in a state."""
        return sum(trial.state == state for trial in self.trials)


def stored_studies(storage: str, name: str | None = None, *, missing_ok: bool = False) -> list[StoredStudy]:
    """The studies that `bench sweep` made, by name; only the one called `name` where that is given.

    Raises `StudyError` when there is no such study, unless `missing_ok`.
    """
    if missing_ok and not exists(storage):
        return []
    backend = open_storage(storage, make=False)
    found = []
    for known in sorted(tried(lambda: optuna.get_all_study_names(backend), storage)):
        study = optuna.load_study(study_name=known, storage=backend)
        if FACTS in study.user_attrs and name in (None, known):
            found.append(_stored(study))
    if not found and not missing_ok:
        told = f"there is no study {name!r} in {shown(storage)}" if name else f"there is no study in {shown(storage)}"
        raise StudyError(told, fix="bench sweep list --storage URL" if name else "bench sweep oeem --dataset glas")
    return found


def _stored(study: optuna.Study) -> StoredStudy:
    facts = study.user_attrs[FACTS]
    space = _space_of(facts["space"])
    trials = [_trial(one, space) for one in study.get_trials(deepcopy=False)]
    complete = [trial for trial in trials if trial.state == "complete"]
    numbers = {one.number for one in study.best_trials} if complete else set()
    sign = -1.0 if facts["objectives"][0][1] == "maximize" else 1.0
    best = sorted(
        (one for one in complete if one.number in numbers), key=lambda one: (sign * one.values[0], one.number)
    )
    notes = study.user_attrs
    return StoredStudy(
        study.study_name, facts, trials, best, str(notes.get(PARENT) or ""), str(notes.get(RUN_FILE) or "")
    )


def _space_of(facts: Sequence[Mapping[str, Any]]) -> Space:
    """The space of a stored study."""
    dimensions = [
        Dimension(**{**one, "choices": tuple(one["choices"]), "when": {k: tuple(v) for k, v in one["when"].items()}})
        for one in facts
    ]
    return Space(tuple(dimensions), {})


def _suggested(trial: optuna.Trial, one: Dimension) -> Any:
    if one.kind == "categorical":
        return one.value(trial.suggest_categorical(one.name, one.labels))
    assert one.low is not None, "numbers have bounds"
    assert one.high is not None, "numbers have bounds"
    if one.kind == "int":
        return trial.suggest_int(one.name, int(one.low), int(one.high), step=int(one.step or 1), log=one.log)
    return trial.suggest_float(one.name, one.low, one.high, step=one.step, log=one.log)


def _trial(one: FrozenTrial, space: Space) -> Trial:
    params = {
        name: space[name].value(value) if name in space and space[name].kind == "categorical" else value
        for name, value in one.params.items()
    }
    return Trial(
        number=one.number,
        state=WORDS[one.state],
        params=params,
        values=tuple(one.values) if one.state is TrialState.COMPLETE and one.values else (),
        reason=str(one.user_attrs.get(REASON, "")),
        run=str(one.user_attrs.get(RUN, "")),
        seconds=float(one.user_attrs.get(SECONDS, 0.0)),
        curve=dict(one.intermediate_values),
    )


def _sampler(chosen: Sampler, number: int) -> optuna.samplers.BaseSampler:
    """The sampler of one trial. Its seed is the trial's own, so that a new process asks for the same."""
    seed = seed_of("sweep", chosen.seed, number) % 2**32
    if chosen.kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if chosen.kind == "qmc":  # one sequence for the whole study, whose place the storage keeps
        return optuna.samplers.QMCSampler(scramble=True, seed=chosen.seed, warn_independent_sampling=False)
    if chosen.kind == "nsga2":
        return optuna.samplers.NSGAIISampler(population_size=max(chosen.startup, 2), seed=seed)
    return optuna.samplers.TPESampler(n_startup_trials=chosen.startup, seed=seed)


def _pruner(chosen: Pruner) -> optuna.pruners.BasePruner:
    if chosen.kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=chosen.startup, n_warmup_steps=chosen.warmup)
    if chosen.kind == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=max(chosen.warmup, 1))
    return optuna.pruners.NopPruner()


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What two studies do not have in common, in words: `V: 1.25 … 16, now 1 … 4`."""
    found = []
    for key in now:
        one, other = before.get(key), now[key]
        if key == "space":
            one, other = ({part["name"]: part for part in parts} for parts in (one or [], other))
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
            found += [f"{key}.{name}: {_short(one.get(name))}, now {_short(other.get(name))}" for name in names]
        elif one != other:
            found.append(f"{key}: {_short(one)}, now {_short(other)}")
    return found[:4] + ([f"and {len(found) - 4} more"] if len(found) > 4 else [])


def _short(value: Any) -> str:
    """A value in few words; a dimension as its range."""
    if isinstance(value, Mapping) and "kind" in value:
        return next(iter(_space_of([value]))).text
    text = "absent" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
