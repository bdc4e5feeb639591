"""`bond explain`: what was understood, assumed, corrected and needed; it runs nothing."""

from __future__ import annotations

import json
import re

import pytest

from tests.journeys.command_line import bond


def test_every_word_is_explained():
    """
    Each word stands above what it was taken for; the rest says what follows from it.
    """
    done = bond("explain", "BTC pirce evry 1s pls")

    assert done.returncode == 0, done.stderr
    words, roles, *rest = done.stdout.splitlines()
    assert words.split() == ["BTC", "pirce", "evry", "1s", "pls"]
    assert roles.split() == ["symbol", "field", "interval", "filler"]
    said = dict(re.split(r"  +", line, maxsplit=1) for line in rest)
    assert said["understood"] == "BTC/USDT price every 1s"
    assert said["corrected"] == "pirce -> price, evry -> every"
    assert "quote=USDT" in said["assumed"]
    assert "exchanges=binance,okx (bybit standing in)" in said["assumed"]
    assert re.match(r"[0-9a-f]{16} ", said["spec id"])


def test_what_is_missing_is_a_need_and_no_failure():
    """
    A plugin that isn't installed is named; the sentence is understood all the same.
    """
    done = bond(
        "explain", "BTC price + tweets from @saylor every 15s", env={"BOND_PLUGINS": "ccxt,sim"}
    )

    assert done.returncode == 0, done.stderr
    assert "needs       no installed plugin provides tweets: bond-x does" in done.stdout
    assert "spec id" not in done.stdout


def test_as_json_it_has_the_spec_and_the_stream_that_runs():
    """
    The JSON's spec can be listened to, and runs as the stream whose id it names.
    """
    env = {"BOND_SIMULATE": "1"}
    explained = json.loads(bond("explain", "BTC price every 1s", "--json", env=env).stdout)
    ran = bond("listen", "BTC price every 1s", "--limit", "1", env=env)

    assert explained["needs"] == []
    assert explained["spec"]["symbols"] == ["BTC/USDT"]
    assert explained["stream_id"] == json.loads(ran.stdout)["stream_id"]
    assert [t["text"] for t in explained["understood"]["tokens"]] == ["BTC", "price", "every 1s"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("BCT price every 5s", "unknown_symbol"),
        ("BTC price every 5", "missing_unit"),
        ("BTC price every 5ms", "interval_out_of_range"),
        ("buy BTC now", "out_of_scope"),
    ],
)
def test_what_makes_no_sense_is_refused(text, code):
    """
    The error has its code, and the fix that it names is understood.
    """
    done = bond("explain", text)

    assert done.returncode == 1
    assert done.stderr.startswith(f"error[{code}]")
    assert "Traceback" not in done.stderr
    fix = re.search(r'try: bond explain "(.+)"', done.stderr)
    assert fix, done.stderr
    assert bond("explain", fix[1]).returncode == 0
