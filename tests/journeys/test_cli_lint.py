"""`bond lint`: what is wrong in a spec, in which line and column."""

from __future__ import annotations

import json

import pytest

from bond_server.json_places import line_and_column, read_with_places
from tests.journeys.command_line import bond

GOOD = '{"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"], "interval_sec": 5}'


@pytest.fixture(name="lint")
def _lint(capsys, tmp_path, monkeypatch):
    """Return a function that lints a text in this process, and returns status and lines."""
    from bond_server.cli import main

    monkeypatch.chdir(tmp_path)

    def lint(text, *options):
        (tmp_path / "spec.json").write_text(text, encoding="utf-8")
        status = main(["lint", "spec.json", *options])
        return status, capsys.readouterr().out.splitlines()

    return lint


def test_a_right_spec_is_right(lint):
    """
    Status 0, and one line that says so.
    """
    assert lint(GOOD) == (0, ["spec.json: right"])


def test_an_unknown_key_is_underlined_where_it_stands(lint):
    """
    File, line, column, what was meant; the line, and carets below the key.
    """
    status, lines = lint('{\n  "sources": [{"type": "ccxt"}],\n  "symbols": ["BTC/USDT"],\n'
                         '  "intervall": 5\n}')  # fmt: skip

    assert status == 1
    assert lines[0].startswith("spec.json:4:3: error[invalid_spec]: unknown key 'intervall'")
    assert lines[0].endswith("did you mean interval_sec?")
    assert lines[1:3] == ['    "intervall": 5', "    ^^^^^^^^^^^"]


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ('{"natural_language": "BTC price on binanse every 5s"}', "1:36", "binanse"),
        ('{"sources": [{"type": "ccxt", "exchanges": ["okx", "binanse"]}],\n"symbols": ["BTC"]}',
         "1:52", "binanse"),
        ('{"sources": [{"type": "ccxt"}],\n "symbols": ["BTC/USDT"],}', "2:26", "not JSON"),
        ('{"sources": [{"type": "ccxt"}]}', "1:1", "symbol"),
        ('{"sources": [{"type": "ccxt"}], "symbols": ["BTC"],\n "late": "drop", "late": "drop"}',
         "2:18", "again"),
        ('{"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"],\n "interval_sec": "soon"}',
         "2:18", "soon"),
        ('{"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"],\n "filter": "price_avg >> 3"}',
         "2:12", ""),
        ("[]", "1:1", "object"),
        ("", "1:1", "not JSON"),
        ("[" * 50_000, "1:1", "nested"),
    ],
    ids=["sentence", "venue", "comma", "missing", "twice", "value", "filter", "list", "empty",
         "deep"],
)  # fmt: skip
def test_what_is_wrong_has_a_line_and_a_column(lint, text, where, said):
    """
    Whatever it is, the first line leads an editor there.
    """
    status, lines = lint(text)

    assert status == 1
    assert lines[0].startswith(f"spec.json:{where}: error[")
    assert said in lines[0]


def test_a_key_that_is_missing_is_no_mistake_of_the_spec(lint, monkeypatch):
    """
    The file may be right where its key is not; `bond plan` tells of that.
    """
    monkeypatch.delenv("X_BEARER", raising=False)
    spec = '{"sources": [{"type": "x"}], "symbols": ["BTC/USDT"]}'

    assert lint(spec) == (0, ["spec.json: right"])
    assert lint(spec.replace("symbols", "symbol"))[0] == 1


def test_programs_get_json(lint):
    """
    An object for each thing that is wrong.
    """
    status, lines = lint('{"sources": [{"type": "ccxxt"}], "symbols": ["BTC/USDT"]}', "--json")

    (found,) = json.loads("\n".join(lines))
    assert status == 1
    assert (found["line"], found["column"], found["code"]) == (1, 23, "unknown_source")


def test_a_file_that_is_not_there_is_a_finding_like_others():
    """
    The others are still read.
    """
    done = bond("lint", "nowhere.json", "-")

    assert done.returncode == 1
    assert done.stdout.startswith("nowhere.json:1:1: error[bad_file]: can't be read")
    assert "<stdin>:1:1: error[not_json]" in done.stdout


def test_every_value_is_found_where_it_stands():
    """
    Pointers of keys and values lead to their text, escapes and nesting or not.
    """
    text = '{"a/b": [1, {"~": "x\\"}"}], "c": {}, "d": [[], null]}'

    value, places = read_with_places(text)

    def at(pointer):
        place = places.values[pointer]
        return json.loads(text[place.start : place.end])

    assert at("") == value
    assert at("/a~1b/1/~0") == 'x"}'
    assert [at(pointer) for pointer in ("/a~1b/0", "/c", "/d", "/d/0", "/d/1")] == [
        1, {}, [[], None], [], None,
    ]  # fmt: skip
    key = places.keys["/a~1b/1/~0"]
    assert text[key.start : key.end] == '"~"'
    assert line_and_column("ab\ncd", 4) == (2, 2)
