"""Text of files, plug-ins and failed runs is shown as it is: no markup, no control characters, no formulas."""

from __future__ import annotations

import io
import re

import pytest
from pandas import DataFrame
from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmark.csv_text import csv_text, escaped, unescaped
from benchmark.reporting.leaderboard import leaderboard_tables
from benchmark.reporting.leaderboard.build_boards import Filters
from benchmark.reporting.leaderboard.standings_model import Failure, Leaderboard
from benchmark.terminal import PlainConsole, plain

HOSTILE = "[/] [a]b[/a] [link=x]y[/link] :smile: \x1b[31mred\x1b]0;title\x07 \x9b2J \u202egnp"


def printed(*parts) -> str:
    out = io.StringIO()
    console = PlainConsole(file=out, width=200, force_terminal=True)
    for part in parts:
        console.print(part)
    return out.getvalue()


def test_strings_and_cells_are_printed_letter_by_letter():
    table = Table("[b]column[/b]")
    table.add_row(HOSTILE)
    shown = printed(HOSTILE, table, Text(HOSTILE, "red"))
    assert shown.count("[/] [a]b[/a] [link=x]y[/link] :smile:") == 3
    assert "[b]column[/b]" in shown
    for bad in ("\x1b[31mred", "\x1b]0;", "\x07", "\x9b", "\u202e"):
        assert bad not in shown


def test_control_characters_push_nothing_out_of_a_cell():
    cells = [HOSTILE, Text.assemble(("\x1b\x1b", "red"), (HOSTILE, "blue")), Text("\x1b[2J" * 9 + " to the end")]
    for cell in cells:
        table = Table("reason", title="\x1b title")
        table.add_row(cell)
        words = plain(str(cell)).split()
        shown = re.sub(r"\x1b\[[\d;]*m", "", printed(Group("\x07", table)))
        assert [word for word in shown.split() if word in words] == words


def test_styles_of_our_own_still_colour():
    assert "\x1b[" in printed(Text("fine", "red"))
    assert plain("a\tb\nc") == "a\tb\nc"


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-x", "@SUM(A1)", "\t=1"])
def test_a_cell_that_a_spreadsheet_would_execute_is_quoted_and_read_back(cell):
    assert escaped(cell) == "'" + cell
    assert unescaped(escaped(cell)) == cell
    assert csv_text(DataFrame({"slide": [cell], "n": [-1]})).splitlines()[1].lstrip('"').startswith("'")


@pytest.mark.parametrize("cell", ["plain", "-0.5", "'quoted", 3, None, -1.5, "+4"])
def test_numbers_and_words_stay(cell):
    assert escaped(cell) == cell


def test_integers_with_gaps_stay_integers():
    frame = DataFrame([[1, "a"], [None, "=b"]], columns=["n", "text"], dtype=object)
    assert csv_text(frame) == "n,text\n1,a\n,'=b\n"


def test_the_leaderboard_shows_a_failure_whose_reason_is_markup():
    failure = Failure("glas", HOSTILE, "0", "failed", HOSTILE, "run", command="bench run")
    board = Leaderboard("sqlite:///x.db", (), failures=(failure,))
    shown = printed(*leaderboard_tables.as_tables(board, Filters(), pairs=False, rows=15))
    assert "[/]" in shown
    assert "\x1b]0;" not in shown
