"""The tables before and after a matrix: the plan; then states, headline metrics, and commands to type next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmark.config import SYNTHETIC
from benchmark.reporting.command import command_text, miniature_words, run_command
from benchmark.reporting.run_names import Component, distinct_names
from benchmark.running.headlines import HEADLINES
from benchmark.running.states import FAILURES

if TYPE_CHECKING:
    from benchmark.config import RunRequest, RunSpec
    from benchmark.running.outcome import Outcome
    from benchmark.running.survey import Prospect

MOST_ROWS, MOST_COMMANDS = 60, 6
"""Rows of a table, beyond which it lists failures alone; commands that repeat failed runs."""

_STATES = {"finished before": "finished", "not applicable": "n/a"}
_COLOURS = {
    "ok": "green",
    "to do": "green",
    "to store": "green",
    "finished before": "cyan",
    "not applicable": "dim",
    "skipped": "yellow",
    "interrupted": "yellow",
}


def plan_table(prospects: Sequence[Prospect], *, whole: bool) -> Group:
    """The plan: the number of runs per state with the reasons and, if `whole`, a row per run."""
    states = [_planned(prospect) for prospect in prospects]
    counts = Counter(states)
    text = ", ".join(f"{count} {_STATES.get(state, state)}" for state, count in counts.items())
    summary = Text(f"{len(prospects)} run{'s' * (len(prospects) != 1)}: {text}")
    outcomes = [prospect.outcome for prospect in prospects if prospect.outcome is not None]
    if not whole:
        return Group(summary, *_reasons(outcomes))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    _name_columns(table, [prospect.spec for prospect in prospects])
    names = names_of([prospect.spec for prospect in prospects])
    for name, prospect, state in zip(names, prospects, states, strict=True):
        table.add_row(f"{name} seed {prospect.spec.seed}", prospect.spec.place, _coloured(state))
    return Group(table, *_reasons(outcomes), summary)


def _name_columns(table: Table, specs: Sequence[RunSpec]) -> None:
    """The columns that say which run it is; two datasets with a map of classes do not fit into one line."""
    table.add_column("run", overflow="fold", min_width=16)
    table.add_column("dataset", overflow="fold", min_width=12, no_wrap=all(spec.target is None for spec in specs))
    table.add_column("state", no_wrap=True)


def _planned(prospect: Prospect) -> str:
    if prospect.outcome is not None:
        return prospect.outcome.state
    return "to store" if prospect.computed else "to do"


def closing_table(outcomes: Sequence[Outcome], request: RunRequest | None = None) -> Group:
    """A row per run, a column per headline metric that any run has; reasons, and commands to type next."""
    shown = [name for name in HEADLINES if any(name in outcome.metrics for outcome in outcomes)]
    titles = [HEADLINES[name] for name in shown]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    _name_columns(table, [outcome.spec for outcome in outcomes])
    for column in (*titles, "s"):
        table.add_column(column, justify="right", no_wrap=True)
    several = len(outcomes) > 1
    if several:
        table.add_column("id", no_wrap=True)
    listed = outcomes if len(outcomes) <= MOST_ROWS else [o for o in outcomes if o.state not in _WELL]
    for name, outcome in zip(names_of([outcome.spec for outcome in listed]), listed, strict=True):
        table.add_row(
            f"{name} seed {outcome.spec.seed}",
            outcome.spec.place,
            _coloured(outcome.state),
            *(_number(outcome.metrics.get(metric)) for metric in shown),
            f"{outcome.seconds:.0f}" if outcome.seconds else "",
            *([(outcome.run_id or "")[:ID]] if several else []),
        )
    counts = Counter(outcome.state for outcome in outcomes)
    total = [Text(", ".join(f"{count} {_STATES.get(state, state)}" for state, count in counts.items()))]
    parts = ([table] if listed else []) + (total if len(outcomes) > 1 else [])
    return Group(*parts, *_reasons(outcomes), *_hints(outcomes, request))


ID = 8
"""Characters shown of a run's id; `bench compare` accepts them."""
_WELL = frozenset({"ok", "finished before"})


def names_of(specs: Sequence[RunSpec], *, preset: bool = True) -> list[str]:
    """What the runs of one table are called, by what differs, without their seeds."""
    runs = [Component(s.method, s.variant, s.preset if preset else "", refit=s.refit) for s in specs]
    names = distinct_names(runs)
    return [names[run] for run in runs]


def _coloured(state: str) -> Text:
    return Text(_STATES.get(state, state), style=_COLOURS.get(state, "red"))


def _reasons(outcomes: Sequence[Outcome]) -> list[Text]:
    """Every reason once, with the number of runs where there are several and, where there is one, the remedy."""
    told: dict[tuple[str, str, str], int] = {}
    for outcome in outcomes:
        if outcome.reason:
            fix = getattr(outcome.error, "fix", None)
            reason = f"{outcome.reason}\n  → {fix}" if fix else outcome.reason
            key = (outcome.spec.method, outcome.spec.place, reason)
            told[key] = told.get(key, 0) + 1
    merged: dict[tuple[str, str], list[str]] = {}
    for (method, place, reason), count in told.items():
        merged.setdefault((place, reason), []).append(f"{method}{f' ({count} runs)' if count > 1 else ''}")
    return [Text(f"{', '.join(names)} on {place}: {reason}") for (place, reason), names in merged.items()]


def _hints(outcomes: Sequence[Outcome], request: RunRequest | None) -> list[Text]:
    hints = []
    if any(outcome.state == "finished before" for outcome in outcomes):
        hints.append(Text("finished: these settings and data were run before; --force runs them again."))
    failed = [outcome for outcome in outcomes if outcome.state in FAILURES]
    if failed:
        commands = rerun_commands([outcome.spec for outcome in failed], request)
        hints.append(Text("Run the same command to do what is missing. The failed runs alone:"))
        hints += [command_text(command) for command in commands[:MOST_COMMANDS]]
        if len(commands) > MOST_COMMANDS:
            hints.append(Text(f"  … and {len(commands) - MOST_COMMANDS} more"))
    if any(outcome.run_id for outcome in outcomes):
        ids = [outcome.run_id for outcome in outcomes if outcome.run_id]
        one = f"   (run {ids[0]}: summary.html, config.yaml, pictures, tables)" if len(ids) == 1 else ""
        hints.append(Text(f"Results: bench ui{one}" if one else "Results: bench leaderboard, bench report, bench ui"))
    return hints


def rerun_commands(specs: Sequence[RunSpec], request: RunRequest | None = None) -> list[str]:
    """One command per method, dataset and settings, with all seeds of those runs."""
    groups: dict[tuple[str, str, bool, str, str, str, tuple[str, ...], str], list[int]] = {}
    for spec in specs:
        made = miniature_words(spec.synthetic_slides if spec.data == SYNTHETIC else None)
        data = tuple(made) if made else ("--data", spec.data) if spec.data else ()
        data += ("--test-data", spec.target.data) if spec.target is not None and spec.target.data else ()
        key = (spec.method, spec.variant, spec.refit, spec.dataset, spec.settings, spec.preset, data, spec.device)
        groups.setdefault(key, []).append(spec.seed)
    commands = []
    for (method, variant, refit, dataset, settings, preset, data, device), seeds in groups.items():
        extra = list(data)
        extra += ["--device", device] if device != "auto" else []
        for option in ("cost_model", "store", "cache", "timeout", "memory", "on", "workers"):
            value = getattr(request, option, None)
            extra += [f"--{option.replace('_', '-')}", str(value)] if value else []
        extra += ["--jobs", "0"] if request is not None and request.jobs == 0 else []
        extra += _gpu_words(() if request is None else request.gpus)
        commands.append(
            run_command(
                method=method,
                variant=variant,
                refit=refit,
                dataset=dataset,
                settings=settings,
                preset=preset,
                seeds=seeds,
                extra=extra,
            )
        )
    return commands


def _gpu_words(gpus: tuple[int, ...]) -> list[str]:
    """`--gpus` for these devices; a single number is how many, and those are the first."""
    return ["--gpus", "1" if gpus == (0,) else ",".join(map(str, gpus))] if gpus else []


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
