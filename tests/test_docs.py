"""The pages: every command parses, every link and path leads somewhere, every other example runs."""

import re
import shlex
from pathlib import Path

import pytest
import typer
import typer.main
import yaml
from typed import typed

from benchmark.cli import app
from benchmark.config import RunRequest
from benchmark.errors import BenchError
from benchmark.reporting.label_cost import read_cost_model
from benchmark.reporting.references import references
from benchmark.running.executors.engine_file import read_engine
from benchmark.running.matrix import run_all
from benchmark.running.plan import plan
from benchmark.tuning.request import SweepRequest, resolve_sweep

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
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


RUN_ELSEWHERE = {
    "docs/plugins.md": "test_scaffold.py",
    "docs/own-slides.md": "test_own_slides_page.py",
    "docs/published-boards.md": "test_publishing.py",
}
"""Pages whose Python is run by a test of its own."""


def python_pages():
    pages = [page_name(page) for page in PAGES if fenced(page.read_text(encoding="utf-8"), "python")]
    return [page for page in pages if page not in RUN_ELSEWHERE]


def test_every_page_with_python_is_run_here_or_in_a_named_test():
    assert set(python_pages()) == {"docs/notebook.md", "docs/encoders.md"}
    for page, test in RUN_ELSEWHERE.items():
        assert Path(page).name in (ROOT / "tests" / test).read_text(encoding="utf-8"), (page, test)


def python_of(page):
    return fenced((ROOT / page).read_text(encoding="utf-8"), "python")


def test_the_notebook_runs_on_a_store_of_two_methods(miniatures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    data = str(miniatures["glas"])
    assert run_all(RunRequest(method="constant,coarse", dataset="glas", data=data, preset="smoke", jobs=0)) == 0
    capsys.readouterr()
    names = {}
    for block in python_of("docs/notebook.md"):
        exec(compile(block, "docs/notebook.md", "exec"), names)
    said = capsys.readouterr().out
    assert len(names["finished"]) == 2 and "coarse" in said and "pixel/miou" in said


def check_yaml(text, folder):
    """Read an example as the file it is, told by its fields; every kind of file that the docs show is here."""
    file, fields = folder / "example.yaml", yaml.safe_load(text)
    file.write_text(text, encoding="utf-8")
    if "trials" in fields or "space" in fields:
        assert resolve_sweep(SweepRequest(str(file), RunRequest())).space
    elif "method" in fields:
        assert plan(RunRequest(config=file))
    elif "engine" in fields:
        assert read_engine(file).name == fields["engine"]
    elif "paper" in fields:
        assert any(reference.paper == fields["paper"]["name"] for reference in references(file))
    else:
        assert read_cost_model(file).text()


@pytest.mark.parametrize("page", [page for page in PAGES if "```yaml" in page.read_text()], ids=page_name)
def test_every_yaml_of_a_page_is_what_its_reader_takes(page, tmp_path):
    for block in fenced(page.read_text(encoding="utf-8"), "yaml"):
        check_yaml(block, tmp_path)


@pytest.mark.parametrize("text", ["method: oeem\npreset: quik\ndataset: glas\n", "image_labels: {minutes: 1}\n"])
def test_a_wrong_yaml_is_noticed(text, tmp_path):
    with pytest.raises(BenchError):
        check_yaml(text, tmp_path)


@pytest.mark.slow
def test_the_first_commands_of_the_readme_run(miniatures, tmp_path, monkeypatch):
    """Those of the block `first commands`, on a miniature; the two long ones are run by `.ci/run`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = [script for script in fenced(text, "bash") if "bench leaderboard" in script]
    commands = list(bench_commands(block))
    assert len(commands) >= 5
    for command in commands:
        if command[0] in ("ui", "annotate"):
            continue
        done = typed(*command)
        assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
