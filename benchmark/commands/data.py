"""`bench data`: find, describe, check and synthesize datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, runtime_checkable

import typer

from benchmark.commands import complete, data_init
from benchmark.errors import DataError, RegistryError
from benchmark.registry import datasets

if TYPE_CHECKING:
    from pydantic import BaseModel

    from benchmark.dataset import Dataset, TissueSource, VerifyReport

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Find, describe, check and synthesize datasets.")

Name = Annotated[str, typer.Argument(help="A dataset (bench list datasets).", autocompletion=complete.dataset_name)]
Root = Annotated[str | None, typer.Option(metavar="ROOT", help="Folder of the data, or one that holds NAME/.")]


@runtime_checkable
class Checksummed(Protocol):
    """A dataset whose provider lists the checksum of every file."""

    def verify_bytes(self, report: VerifyReport) -> None:
        """Read every byte and add what differs to the report."""
        ...


@runtime_checkable
class Folded(Protocol):
    """Tissue of patients who can be dealt into folds."""

    def folded(self, folds: int, fold: int) -> TissueSource:
        """The same tissue; the patients of one fold are those of the test split."""
        ...


SMALLEST_SIDE = 1024
"""Below this a slide has too few cells to hold lesion and normal tissue."""

WHERE = """\
Data is searched for in this order; the first folder found is used:

\b
  --data ROOT         the dataset's own folder, or one that holds NAME/
  BENCH_DATA          the same, as an environment variable
  ./data/NAME         under the current folder
"""


@app.command(epilog=WHERE)
def where() -> None:
    """Show where each dataset is searched for, and where it was found."""
    import os

    from rich.text import Text

    from benchmark import cachehome, datahome
    from benchmark.commands.printing import console, table

    shown = table("dataset", "from", "folder", "state")
    for name in datasets().names():
        for place in datahome.places(name):
            style = "green" if place.found else "dim"
            shown.add_row(name, place.why, Text(str(place.path), overflow="fold"), Text(place.state, style=style))
    out = console()
    out.print(shown)
    out.print(Text(f"{datahome.DATA_VARIABLE:12} {os.environ.get(datahome.DATA_VARIABLE) or 'not set'}"))
    out.print(Text(f"{cachehome.CACHE_VARIABLE:12} {cachehome.cache_home()}"))


@app.command("list")
def list_data() -> None:
    """List datasets with title, licence, size and location."""
    from rich.text import Text

    from benchmark.commands.printing import console, table
    from benchmark.datahome import places

    shown = table("dataset", "title", "licence", "size", "here")
    for name in datasets().names():
        try:
            card = datasets().load(name).card
        except RegistryError as error:  # one broken plug-in must not hide the others
            shown.add_row(name, Text(error.what, style="red"), "", "", "")
            continue
        here = next((str(place.path) for place in places(name) if place.found), "–")
        shown.add_row(name, card.title, card.licence, card.size, here)
    console().print(shown)


@app.command()
def info(name: Name) -> None:
    """Show a dataset: licence, citation, how to obtain it, and the layout expected on disk."""
    from benchmark.commands.printing import console, facts, print_card

    print_card(console(), datasets().entry(name), facts(datasets().load(name)))


@app.command()
def verify(
    name: Name,
    data: Root = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A dataset option; repeatable.")
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Read every byte: compare the provider's checksums, print the full content digest."
        ),
    ] = False,
) -> None:
    """Check the files of a dataset and its official counts; exit code 2 if anything is wrong."""
    from benchmark.commands.printing import aside, console
    from benchmark.datahome import find_root

    component = datasets().load(name)
    options = _options(component, settings or [])
    root = find_root(name, data)
    out = console()
    with aside(f"reading {root}"):
        dataset = component(root, options)
        report = dataset.verify()
    if full and isinstance(dataset, Checksummed):
        with aside("comparing checksums"):
            dataset.verify_bytes(report)
    _print_report(name, dataset.root, report, synthetic=dataset.synthetic)
    _print_methods(dataset)
    if full:
        from benchmark.digest import content_digest

        with aside("reading every byte"):
            digest = content_digest(dataset.root, dataset.files(), full=True)
        out.print(f"full digest  {digest}")
    if not report.ok:
        raise typer.Exit(2)


def _options(component: type[Dataset], settings: list[str]) -> BaseModel:
    """The dataset's options. Raises `ConfigError` for one that it does not have."""
    from benchmark import config
    from benchmark.setting_faults import refuse_unknown

    given = map(config.read_setting, settings)
    own = config.named_once((key.removeprefix("dataset."), value) for key, value in given)
    unknown = [key for key in own if key not in component.Options.model_fields]
    if unknown:
        raise refuse_unknown(unknown[0], {component.name: component.Options})
    return config.validated(component.Options, own, component.name)


SYNTH = """\
Examples:

\b
  bench data synth glas --out data/glas --slides 24 --seed 0
  bench data synth camelyon16 --out data/composed --slides 12 --side 5120 --tissue glas:/data/glas

With --tissue the slides are composed from the images of a real dataset; no patient is in two splits, and with --fold
0/3, 1/3 and 2/3 every patient tests once. Such slides count as synthetic: their runs are kept in an experiment of their
own.
"""


@app.command(epilog=SYNTH)
def synth(
    name: Name,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write; must be empty or not exist.")],
    slides: Annotated[int, typer.Option(metavar="N", help="Number of slides.")] = 24,
    seed: Annotated[int, typer.Option(metavar="INT", help="Random seed.")] = 0,
    tissue: Annotated[
        str | None,
        typer.Option(metavar="NAME:ROOT", help="Take tissue from a dataset and its folder. Default: painted."),
    ] = None,
    fold: Annotated[
        str | None,
        typer.Option(metavar="K/N", help="Deal the tissue's patients into N folds; those of fold K (0 …) test."),
    ] = None,
    side: Annotated[
        int | None, typer.Option(metavar="PX", help="Longer side of a whole-slide image. Default: small.")
    ] = None,
) -> None:
    """Write a miniature in the official layout, with painted or real tissue."""
    component = datasets().load(name)
    if slides < 1:
        raise DataError(f"--slides {slides}: a miniature has at least one slide", fix="--slides 24")
    from benchmark.seeds import require_seed

    require_seed(seed)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise DataError(f"{out} exists and is not an empty folder; nothing is overwritten", fix="choose another --out")
    if side is not None and side < SMALLEST_SIDE:
        raise DataError(f"--side {side}: expected at least {SMALLEST_SIDE} px", fix="--side 5120")
    from benchmark.commands.printing import console
    from benchmark.commands.synth_progress import progress_of
    from benchmark.workshop import workshop

    terminal = console()
    source = _tissue(tissue)
    given = {"tissue": source if fold is None else _folded(source, fold), "side": side}
    asked: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        with workshop(out) as folder:
            unfinished = folder / "data"
            unfinished.mkdir()
            with progress_of(terminal, slides):
                component.synthesize(unfinished, slides=slides, seed=seed, **asked)
            unfinished.replace(out)
    except OSError as error:
        raise DataError(f"cannot write {out}: {error.strerror or error}", fix="choose another --out") from error
    terminal.print(f"{slides} slides in {out}\n  → bench data verify {name} --data {out}", soft_wrap=True)


def _tissue(text: str | None) -> TissueSource | None:
    """The tissue of `NAME:ROOT`; None for painted tissue."""
    if text is None:
        return None
    name, colon, root = text.partition(":")
    if not colon or not root:
        raise DataError(f"--tissue {text}: expected NAME:ROOT", fix="--tissue glas:/path/to/glas")
    from benchmark.datahome import find_root

    return datasets().load(name).tissue_source(find_root(name, root))


def _folded(tissue: object, fold: str) -> TissueSource:
    """The tissue with its patients in folds, as `K/N` says."""
    first, _, second = fold.partition("/")
    numbers = fold.isascii() and first.isdecimal() and second.isdecimal() and len(fold) < 9
    if not numbers or not int(first) < int(second) > 1:
        raise DataError(f"--fold {fold[:20]}: expected K/N with 0 ≤ K < N and N ≥ 2", fix="--fold 0/3")
    if not isinstance(tissue, Folded):
        lacks = "needs --tissue: painted tissue has no patients" if tissue is None else "cannot be had of this tissue"
        raise DataError(f"--fold {fold} {lacks}", fix="--tissue glas:/path/to/glas")
    return tissue.folded(int(second), int(first))


def _print_report(name: str, root: Path, report: VerifyReport, *, synthetic: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from benchmark.commands.printing import MARKS, console

    out = console()
    out.print(Text.assemble((name, "bold"), f"  {root}{'  (synthetic)' if synthetic else ''}"), soft_wrap=True)
    lines = Table.grid(padding=(0, 1))
    for finding in report.findings:
        lines.add_row(Text(*MARKS[finding.ok]), Text(finding.text))
    out.print(lines)
    faults = sum(finding.ok is False for finding in report.findings)
    closing = (f"{faults} of {len(report.findings)} findings are faults", "red") if faults else ("sound", "green")
    out.print(Text(*closing))


def _print_methods(dataset: Dataset) -> None:
    """Which methods can run on the data as they are, and what each of the others lacks."""
    from rich.text import Text

    from benchmark.commands.printing import aside, console
    from benchmark.registry import methods
    from benchmark.running.applicable import not_applicable
    from benchmark.running.states import reason_of

    able: list[str] = []
    lacking: dict[str, list[str]] = {}
    out = console()
    with aside("asking the methods"):
        for name in methods().names():
            try:
                reason = not_applicable(methods().load(name), dataset)
            except Exception as error:  # also of a plug-in that breaks its contract: the report goes on
                reason = reason_of(error)
            if reason is None:
                able.append(name)
            else:
                lacking.setdefault(reason, []).append(name)
    out.print(Text.assemble(("methods that can run: ", "bold"), ", ".join(able) or "none"), soft_wrap=True)
    for reason, names in lacking.items():
        out.print(Text.assemble((f"not {', '.join(names)}: ", "yellow"), reason), soft_wrap=True)


app.command(epilog=data_init.EXAMPLES)(data_init.init)
