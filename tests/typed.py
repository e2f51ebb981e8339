"""`bench` as it is typed, in the process of the test: starting another one takes ten seconds of imports."""

import contextlib
import io
from subprocess import CompletedProcess

import pytest

from benchmark.cli import main


def typed(*words):
    """What the command says and its exit status."""
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained), pytest.raises(SystemExit) as end:
        main(list(words))
    return CompletedProcess(words, end.value.code or 0, said.getvalue(), complained.getvalue())
