"""The budget as an axis of the matrix: which budgets a request names, and what of them is part of a run's identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmark.budgets.allotment import Allotment
from benchmark.budgets.budget import RunBudget, read_budgets
from benchmark.config import RunFile, RunRequest, RunSpec
from benchmark.errors import ConfigError
from benchmark.identity import digest_of
from benchmark.reporting.command import BUDGET
from benchmark.reporting.label_cost import read_cost_model

Prices = tuple[tuple[str, float], ...]


def chosen_budgets(request: RunRequest, file: RunFile) -> list[tuple[RunBudget | None, Prices]]:
    """The budgets of a request, those in minutes with what labels cost. None: all labels.

    Raises `ConfigError` for a budget that cannot be read, and for budgets beside `--slide`.
    """
    text = request.budget or file.budget
    if text is None:
        if request.cost_model is not None:
            raise ConfigError("--cost-model without a budget in minutes has no effect", fix="--budget 30min,2h")
        return [(None, ())]
    if request.slide or file.slide:
        raise ConfigError(
            f"both --slide {request.slide or file.slide} and --budget {text} are given", fix="use one of them"
        )
    budgets = read_budgets(text)
    priced = any(budget is not None and budget.unit == "minutes" for budget in budgets)
    prices: Prices = ()
    if priced and request.cost_model is None and file.label_minutes is not None:
        prices = tuple(sorted(file.label_minutes.items()))
    elif priced:
        prices = tuple(sorted(read_cost_model(request.cost_model).prices().items()))
    elif request.cost_model is not None:
        raise ConfigError("--cost-model without a budget in minutes has no effect", fix="--budget 30min,2h")
    return [(each, prices if each is not None and each.unit == "minutes" else ()) for each in budgets]


def with_budget(spec: RunSpec, budget: RunBudget | None, prices: Prices) -> RunSpec:
    """The run with a budget."""
    if budget is None:
        return spec
    settings = " ".join(filter(None, (spec.settings, f"{BUDGET}={budget.text}")))
    return replace(spec, budget=budget, label_minutes=prices, settings=settings)


def budget_facts(spec: RunSpec, allotment: Allotment | None = None) -> Mapping[str, Any]:
    """What of a budget decides a run's identity; nothing without one, so that such runs keep theirs."""
    if spec.budget is None:
        return {}
    rules = {"budget_rules": list(allotment.revised)} if allotment is not None and allotment.revised else {}
    return {"budget": [spec.budget.text, *([dict(spec.label_minutes)] if spec.label_minutes else [])], **rules}


def budget_tags(spec: RunSpec) -> Mapping[str, str]:
    """`bench.budget`, and a digest of the minutes per label where it is spent in minutes."""
    if spec.budget is None:
        return {}
    prices = {"bench.label_minutes": digest_of(dict(spec.label_minutes))[:8]} if spec.label_minutes else {}
    return {"bench.budget": spec.budget.text, **prices}
