"""The pages: every command parses, every link and path leads somewhere, the example plug-in passes its suite."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import typer.main

from benchmark.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BENCH = typer.main.get_command(app)
(UsageError,) = typer.BadParameter.__bases__
"""What a command line that cannot be parsed raises; typer's own name for it is private."""


def page_name(page):
    return page.relative_to(ROOT).as_posix()


def fenced(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def outside_fences(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def bench_commands(script):
    """The arguments of every `bench …` in a shell script: without comments, continuations and redirections."""
    for line in script.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        starts = [-1, *(place for place, word in enumerate(words) if word in ("&&", "|", ";"))]
        for start, stop in zip(starts, [*starts[1:], len(words)], strict=True):
            command = words[start + 1 : stop]
            if command and Path(command[0]).name == "bench":
                yield command[1 : command.index(">") if ">" in command else None]


def parse(arguments, *, complete=True):
    """What the command line makes of the arguments, without running the verb; `UsageError` where it refuses them.

    With `complete` false, arguments may be missing, as in the mention of a verb in a sentence.
    """
    command, parent, rest = BENCH, None, list(arguments)
    while True:
        try:
            context = command.make_context(command.name or "bench", rest, parent=parent)
        except typer.Exit:  # --help
            return
        except UsageError as error:
            if complete or type(error).__name__ not in ("MissingParameter", "NoArgsIsHelpError"):
                raise
            return
        if not hasattr(command, "resolve_command"):
            return
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        _, command, rest = command.resolve_command(context, rest)
        parent = context


@pytest.mark.parametrize(
    "refused", ["lederboard", "run --metod oeem", "data init", "sweep best", "run --jobs many", "cache prune --older"]
)
def test_a_wrong_command_is_noticed(refused):
    with pytest.raises(UsageError):
        parse(shlex.split(refused))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_command_of_a_page_parses(page):
    text = page.read_text(encoding="utf-8")
    for script in fenced(text, "bash"):
        for arguments in bench_commands(script):
            parse(arguments)
    for span in re.findall(r"`bench ([^`]+)`", outside_fences(text)):
        parse(shlex.split(span), complete=False)


def test_every_example_of_the_help_parses():
    count = 0
    commands = [BENCH]
    for command in commands:
        commands += getattr(command, "commands", {}).values()
        examples = re.findall(r"^  (bench .*)$", command.epilog or "", re.MULTILINE)
        for example in examples:
            # A listing explains its commands after two spaces.
            for arguments in bench_commands(re.split(r"  +(?!#)", example)[0]):
                parse(arguments)
                count += 1
    assert count > 40


def slug(heading):
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_and_paths_lead_somewhere(page):
    text = outside_fences(page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page_name(page)} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", outside_fences(linked.read_text(encoding="utf-8")), re.MULTILINE)
            assert anchor in map(slug, headings), f"{page_name(page)} links to {target}"
    for path in re.findall(r"`((?:benchmark|datasets|docs|measurements|methods|sweeps|tests)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), f"{page_name(page)} names {path}"


def test_the_example_plug_in_passes_its_contract_suite(tmp_path):
    """Installed as a distribution of its own; a numerical warning is an error."""
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    module, suite = fenced(text, "python")
    (entry_points,) = fenced(text, "toml")
    site = tmp_path / "site"
    info = site / "colour_method-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: colour-method\nVersion: 1.0\n")
    target = re.search(r'^colour = "(.+)"$', entry_points, re.MULTILINE).group(1)
    (info / "entry_points.txt").write_text(f"[bench.methods]\ncolour = {target}\n")
    (site / "colour_method.py").write_text(module, encoding="utf-8")
    (site / "test_colour.py").write_text(suite, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error::RuntimeWarning", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [*command, "--basetemp", str(tmp_path / "pytest"), "test_colour.py"],
        cwd=site,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and re.search(r"\b[89]\d* passed", done.stdout), done.stdout[-3000:] + done.stderr
