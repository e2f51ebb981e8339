"""Errors that a user can fix. Each says what is wrong and where; `fix` is the next command to type."""

from __future__ import annotations


class BenchError(Exception):
    """Base of all errors that end a command with exit code 2 and one message, without a traceback."""

    def __init__(self, what: str, *, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return self.what if self.fix is None else f"{self.what}\n  → {self.fix}"


class RegistryError(BenchError):
    """An unknown name, or a component that breaks its contract."""


class ConfigError(BenchError):
    """An invalid option, parameter or configuration file."""


class DataError(BenchError):
    """A data folder, slide or annotation that is missing, unreadable or inconsistent."""


class AnnotationError(DataError):
    """An annotation that is readable but not understood: names, shapes or a place that an option has to settle."""


class BlankSlideError(DataError):
    """A slide of glass alone. Scored 0 by definition (hybrid supervision), it stays among the results."""


class SupervisionError(BenchError):
    """A method asked for labels that it did not declare, that are sealed, or beyond its budget."""


class BudgetError(SupervisionError):
    """No label is left to hand out: the budget is spent, or a recorded expert has no further answer."""


class ReviewError(BenchError):
    """An answer that was not asked for, comes twice, or too early."""


class WeightsError(BenchError):
    """A weight file that is missing, unsafe or of the wrong shape."""


class FeaturesError(BenchError):
    """Features made elsewhere that are missing, damaged, or of other patches than the method asks for."""


class StageError(BenchError):
    """A stage reads an undeclared parameter, or returns something that cannot be stored."""


class PredictionError(BenchError):
    """A prediction that breaks the contract."""


class TrackingError(BenchError):
    """The tracking store cannot be reached or written."""


class StudyError(BenchError):
    """The storage of studies cannot be used, or a study of that name searches something else."""


class EngineError(BenchError):
    """An engine that cannot be used: a package, an address, a node that sees other files."""
