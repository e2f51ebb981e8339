"""The command `bench`: wires the verbs together and turns errors into messages and exit codes.

Exit codes: 0 success, 1 unexpected error, 2 an error that the user can fix, 130 interrupted.
"""

from __future__ import annotations

import errno
import logging
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from benchmark.commands import (
    advise,
    annotate,
    audit,
    cache,
    compare,
    data,
    export,
    jobs,
    leaderboard,
    new,
    predict,
    publish,
    refine,
    report,
    run,
    service,
    show,
    sweep,
    sync,
)
from benchmark.commands import listing as catalogue
from benchmark.commands.session import Session
from benchmark.errors import BenchError, ConfigError

EXAMPLES = """\
First steps:

\b
  bench doctor                 what this machine has and lacks
  bench list                   methods and datasets
  bench info oeem              a method and its parameters
  bench run --method oeem --dataset glas --data synthetic --preset quick
  bench sweep oeem --dataset glas --preset quick --trials 20
  bench leaderboard            which method is best, and the cost of its labels
  bench refine slide.svs --annotation rough.geojson --out refined
  bench predict slides/ --best camelyon16 --out scored
  bench ui                     look at every run

More examples: bench run --help. Shell completion: bench --install-completion.
"""

# typer asks pydantic to convert every value that is not yet a boolean, and importing pydantic takes longer than
# all of `bench list`; so the flags of that path are given as booleans.
_BOOLEAN = {"help": False}
_DEFAULTS: dict[str, Any] = {
    **_BOOLEAN,
    "install_completion": False,
    "show_completion": False,
    "list": {**_BOOLEAN, "methods": _BOOLEAN, "datasets": _BOOLEAN},
}

app = typer.Typer(
    rich_markup_mode=None,  # the rich help takes 0.3 s to import
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    epilog=EXAMPLES,
    context_settings={"default_map": _DEFAULTS, "help_option_names": ["--help", "-h"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from benchmark.provenance import code_version

        typer.echo(f"bench {code_version()}")
        raise typer.Exit


@app.callback()
def bench(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and commit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Learning from weak, coarse, hybrid and interactive labels on histology slides."""
    context.ensure_object(Session).debug = debug


# Words that belong to no option are refused by the verb, which knows the names of methods and datasets.
app.command(epilog=run.EXAMPLES, context_settings={"allow_extra_args": True})(run.run)
app.command(epilog=sync.EXAMPLES)(sync.sync)
app.add_typer(jobs.app, name="jobs")
app.add_typer(sweep.app, name="sweep")
app.add_typer(catalogue.listing, name="list")
app.command(short_help="Show a method or a dataset with its parameters.")(catalogue.info)
app.add_typer(data.app, name="data")
app.add_typer(cache.app, name="cache")
app.add_typer(new.app, name="new")
app.command(epilog=advise.EXAMPLES)(advise.advise)
app.command(epilog=leaderboard.EXAMPLES)(leaderboard.leaderboard)
app.command(epilog=report.EXAMPLES)(report.report)
app.command(epilog=publish.EXAMPLES)(publish.publish)
app.command(epilog=compare.EXAMPLES)(compare.compare)
app.command(epilog=show.EXAMPLES)(show.show)
app.command(epilog=audit.EXAMPLES)(audit.audit)
app.command(epilog=annotate.EXAMPLES)(annotate.annotate)
app.command(epilog=export.EXAMPLES)(export.export)
app.command(epilog=refine.EXAMPLES)(refine.refine)
app.command(epilog=predict.EXAMPLES)(predict.predict)
app.command()(service.ui)
app.command(short_help="Check this machine; each fault comes with its fix.")(service.doctor)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `bench`; always ends in `SystemExit`."""
    session = Session()
    # A damaged image is told of by its name, in our words.
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        app(args=_words(sys.argv[1:] if arguments is None else arguments), prog_name="bench", obj=session)
    except BenchError as error:
        _explain(f"error: {error}", session)
        raise SystemExit(2) from None
    except SystemExit as end:
        if isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt):  # typer turns it into an exit
            _interrupted(session)
        raise
    except KeyboardInterrupt:
        _interrupted(session)
    except OSError as error:
        told = _surroundings(error)
        if told is None:
            _unexpected(error, session)
        _explain(f"error: {told}", session)
        raise SystemExit(2) from None
    except Exception as error:
        _unexpected(error, session)


def _words(words: Sequence[str]) -> list[str]:
    """The arguments, with the home folder for the `~` of `--cache=~/c`, which shells leave as it is.

    Raises `ConfigError` for an empty word, as of a variable of the shell that is not set: it would count as none.
    """
    read = []
    for before, word in pairwise(("", *words)):
        found = re.fullmatch(r"(--[\w-]+)=(\s*|~|~/.*)", word)
        if not word.strip() or (found and not found[2].strip()):
            option = found[1] if found else before.partition("=")[0] if before.startswith("-") else ""
            what = f"{option} is given an empty value" if option else "an empty word is among the arguments"
            raise ConfigError(what, fix="leave it out, or say what it is to be (is a variable of the shell not set?)")
        read.append(f"{found[1]}={Path(found[2]).expanduser()}" if found else word)
    return read


def _interrupted(session: Session) -> NoReturn:
    _explain("interrupted: what was finished is kept\n  → run the same command to go on", session)
    raise SystemExit(130) from None


def _surroundings(error: OSError) -> BenchError | None:
    """What is wrong around the program, if this error is due to that."""
    if isinstance(error, FileNotFoundError):
        try:
            Path.cwd()
        except FileNotFoundError:
            return BenchError("the working directory has been deleted", fix="cd to a folder that is there")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = error.filename or "the output's disk, or that of a temporary file"
        return BenchError(f"no space left on {where}: {error.strerror}", fix="df -h")
    return None


def _unexpected(error: Exception, session: Session) -> NoReturn:
    """Tell of a defect of the program."""
    hint = "" if session.debug else "\n  → show the traceback: bench --debug …"
    _explain(f"unexpected {type(error).__name__}: {error}{hint}", session)
    raise SystemExit(1) from None


def _explain(message: str, session: Session) -> None:
    if session.debug:
        import traceback

        traceback.print_exc()
    from rich.text import Text

    from benchmark.terminal import PlainConsole

    first, colon, rest = message.partition(":")
    explanation, newline, fix = rest.partition("\n  → ")
    text = Text.assemble((first + colon, "bold red"), explanation, (newline + fix, "cyan"))
    with suppress(OSError):  # also the disk of standard error may be full
        PlainConsole(stderr=True, soft_wrap=True).print(text)
        sys.stderr.flush()
