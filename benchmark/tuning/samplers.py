"""Optuna's sampler and pruner for what a sweep file says."""

from __future__ import annotations

import optuna

from benchmark.seeds import seed_of
from benchmark.tuning.study_storage import quiet
from benchmark.tuning.sweep_file import Pruner, Sampler

WORSE = 0.1
"""Optuna's p of the pruner `wilcoxon`: the least number of slides that reaches it is four, each worse."""


def sampler_of(chosen: Sampler, number: int) -> optuna.samplers.BaseSampler:
    """The sampler of one trial. Its seed is the trial's own, so that a new process asks for the same."""
    seed = seed_of("sweep", chosen.seed, number) % 2**32
    if chosen.kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if chosen.kind == "qmc":  # one sequence for the whole study, whose place the storage keeps
        return optuna.samplers.QMCSampler(scramble=True, seed=chosen.seed, warn_independent_sampling=False)
    if chosen.kind == "nsga2":
        return optuna.samplers.NSGAIISampler(population_size=max(chosen.startup, 2), seed=seed)
    return optuna.samplers.TPESampler(n_startup_trials=chosen.startup, seed=seed)


def pruner_of(chosen: Pruner) -> optuna.pruners.BasePruner:
    """The pruner of a study."""
    if chosen.kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=chosen.startup, n_warmup_steps=chosen.warmup)
    if chosen.kind == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=max(chosen.warmup, 1))
    if chosen.kind == "wilcoxon":
        with quiet():
            return optuna.pruners.WilcoxonPruner(p_threshold=chosen.p or WORSE, n_startup_steps=chosen.warmup)
    return optuna.pruners.NopPruner()
