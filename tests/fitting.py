"""A method fitted with its smoke preset on a few slides, and a reporter that keeps what it hears and can interrupt."""

from benchmark.config import resolve
from benchmark.context import Context, SilentReporter
from benchmark.dataset import Split
from benchmark.supervision import Labels, Ledger, View


class Reporter(SilentReporter):
    """Keeps what is said; interrupts after so many logged numbers, as a kill would."""

    def __init__(self, logs=0):
        super().__init__()
        self.said, self._left = [], logs

    def say(self, text):
        self.said.append(text)

    def log(self, name, value, step):
        super().log(name, value, step)
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt

    def values(self, name):
        return [value for found, value, _ in self.history if found == name]


def some(dataset, split=Split.TRAIN, labels=(1, 0)):
    """One slide of a split per label, in the order of their names."""
    slides = dataset.slides(split)
    found = [next(s for s in slides if (dataset.unit_labels(s) == label).any()) for label in labels]
    return sorted(dict.fromkeys(found), key=lambda slide: slide.id)


def trained(kind, dataset, folder, *, slides=None, validation=(), reporter=None, source=None, **changes):
    """A fitted method, its context and its ledger. `source` answers for the dataset when labels are asked for."""
    method = kind(resolve(kind, "smoke", changes))
    ledger, reporter = Ledger(), reporter or Reporter()
    context = Context(geometry=dataset, folder=folder, ledger=ledger, data_digest="mini", reporter=reporter)
    context.bind(method)
    chosen = some(dataset) if slides is None else slides
    everything = [*chosen, *validation]
    labels = Labels(source or dataset, everything, kind.supervision, ledger, budgets=method.budgets())
    method.fit(View(chosen, labels), View(list(validation), labels), context)
    return method, context, ledger


def predicted(method, dataset, context, slide):
    """The prediction of a slide whose labels are sealed."""
    sealed = Labels(dataset, [slide], method.supervision, Ledger(), sealed=True)
    return method.predict(slide, sealed, context)


def flat(value, name=""):
    """Every leaf of a state, by its path."""
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        return {path: leaf for key, item in value.items() for path, leaf in flat(item, f"{name}/{key}").items()}
    return {name: value.tolist() if hasattr(value, "tolist") else value}
