"""The command line on a real terminal: colours only there, any width, resizing, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import sys

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from tests.journeys.command_line import bond
from tests.journeys.terminal import COLOUR, ESCAPE, on_a_terminal

LISTEN = ("listen", "BTC price + volume every 500ms", "--simulate")


def rows(terminal):
    """Return the lines of the table that show a record."""
    return [line for line in terminal.lines() if re.match(r"(SIM| {3}) {1,2}\d\d:\d\d:\d\d", line)]


@pytest.mark.parametrize("columns", [40, 160])
def test_a_table_fits_any_terminal(columns):
    """
    Rows and heads stay on one line each, with symbol and price, however narrow it is.
    """
    with on_a_terminal(*LISTEN, "--limit", "5", columns=columns) as terminal:
        assert terminal.to_the_end() == 0

    shown = rows(terminal)
    assert shown
    assert max(map(len, shown)) <= columns
    assert all("BTC/USDT" in row for row in shown)
    assert COLOUR.search(terminal.said)


def test_a_table_follows_the_window():
    """
    After a resize rows have the new width, below a head that was printed anew.
    """
    with on_a_terminal(*LISTEN, columns=140) as terminal:
        terminal.until(lambda said: len(rows(terminal)) >= 2)
        wide = rows(terminal)
        terminal.resize(50)
        seen = len(rows(terminal))
        terminal.until(lambda said: len(rows(terminal)) >= seen + 4)
        terminal.press_ctrl_c()
        assert terminal.to_the_end() == 0

    narrow = rows(terminal)[seen + 1 :]
    assert max(map(len, wide)) > 50
    assert max(map(len, narrow)) <= 50
    assert sum("symbol" in line and "price_avg" in line for line in terminal.lines()) >= 2


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_whoever_wants_no_colours_gets_none(env):
    """
    NO_COLOR and a terminal that can't do it are heeded.
    """
    with on_a_terminal(*LISTEN, "--limit", "3", env=env) as terminal:
        assert terminal.to_the_end() == 0

    assert rows(terminal)
    assert not COLOUR.search(terminal.said)


@pytest.mark.parametrize(
    "words", [("explain", "BTC price on binanse"), ("doctor", "--offline")], ids=lambda w: w[0]
)
def test_verdicts_are_coloured_for_people(words):
    """
    On a terminal, and not where it wants none; the text is the same.
    """
    shown = []
    for env in ({}, {"NO_COLOR": "1"}):
        with on_a_terminal(*words, env=env) as terminal:
            terminal.to_the_end()
        shown.append(terminal)

    assert COLOUR.search(shown[0].said)
    assert not ESCAPE.search(shown[1].said)
    assert shown[0].lines() == shown[1].lines()


def test_ctrl_c_ends_with_a_summary():
    """
    Whoever presses it sees what there was, and no traceback; it is no failure.
    """
    with on_a_terminal(*LISTEN) as terminal:
        terminal.until(lambda said: rows(terminal))
        terminal.press_ctrl_c()
        assert terminal.to_the_end() == 0

    assert re.search(r"\d+ records? · late 0", terminal.lines()[-2])
    assert "Traceback" not in terminal.said


def test_a_pipe_gets_records_and_the_terminal_how_far_it_is():
    """
    With stdout elsewhere, stderr says how many of how many, and takes that away in the end.
    """
    read, write = os.pipe()
    with on_a_terminal(*LISTEN, "--limit", "6", stdout=write) as terminal:
        os.close(write)
        with os.fdopen(read, "rb") as records:
            lines = records.read().splitlines()
        assert terminal.to_the_end() == 0

    assert [json.loads(line)["symbol"] for line in lines] == ["BTC/USDT"] * 6
    assert b"\x1b" not in b"".join(lines)
    assert re.search(r"\d of 6 records  \d+%", terminal.said)
    assert terminal.lines()[-2].rpartition("\r")[2].startswith("6 records")


@pytest.mark.parametrize(
    "words",
    [("explain", "BTC price every 5s"), ("plan", "BTC price every 5s"), ("doctor", "--offline"),
     ("errors",), ("--help",), ("plugins", "list"), ("lint", "nowhere.json")],
    ids=lambda words: words[0],
)  # fmt: skip
def test_nothing_but_a_terminal_gets_escapes(words):
    """
    What is read by programs has none.
    """
    done = bond(*words)

    assert not ESCAPE.search(done.stdout + done.stderr)
    assert done.stdout
