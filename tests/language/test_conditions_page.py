"""The page about filters and alerts: what it shows is what happens."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bond_core.log.offset import Offset
from bond_core.model.event import Trade
from bond_core.model.record import Notice, Record
from bond_core.spec.canonical import spec_as_json
from bond_core.spec.conditions.evaluate import condition_of
from bond_core.spec.conditions.given import condition_text
from bond_core.spec.conditions.parse import MAX_DEPTH, MAX_NODES, MAX_TEXT, parse_condition
from bond_core.spec.conditions.tree import FUNCTIONS
from bond_core.spec.read import read_spec
from bond_core.wire.codec import record_as_json
from bond_server.language.compile import understand
from bond_server.language.vocabulary import bundled
from tests.core.runtime.puppets import play

PAGE = (Path(__file__).parents[2] / "docs" / "conditions.md").read_text(encoding="utf-8")
VOCABULARY = bundled()
ANSWERS = {"true": True, "false": False, "unknown": None}
SECOND = 1_000_000_000
STORIES = "| price of each second | more | told, by second |"


def table(head):
    """The rows of the table that begins with this head, as cells without their back-ticks."""
    lines = PAGE.split(f"\n{head}\n", 1)[1].splitlines()[1:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        rows.append([cell.strip().strip("`").replace("\\|", "|") for cell in cells])
    return rows


def canonical(spec):
    """What a spec with these keys says of its filter and alerts, in canonical form."""
    whole = {"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT", "ETH/USDT"], **spec}
    body = spec_as_json(read_spec(whole)[0])
    return {key: body[key] for key in ("filter", "alerts") if key in body}


def a_record(*notices, **values):
    """A record with these notices and values."""
    return Record(
        symbol="BTC/USDT", timeframe_ns=SECOND, window_start_ns=0, window_end_ns=SECOND,
        values=values, sources={}, notices=notices,
    )  # fmt: skip


@pytest.mark.parametrize(("text", "values", "answer"), table("| condition | record | |"))
def test_a_condition_says_of_a_record_what_the_page_says(text, values, answer):
    """True, false or unknown."""
    condition = condition_of(parse_condition(text))
    record = a_record(**json.loads(values))

    assert condition.holds(condition.look(record, condition.begin())) is ANSWERS[answer]


@pytest.mark.parametrize(("given", "text"), table("| object | text |"))
def test_an_object_is_the_text_beside_it(given, text):
    """In its canonical form."""
    assert condition_text(json.loads(given)) == text


@pytest.mark.parametrize(("sentence", "keys"), table("| sentence | |"))
def test_a_sentence_has_the_conditions_beside_it(sentence, keys):
    """As the spec that it compiles to says them."""
    spec = {key: value for key, value in understand(sentence, VOCABULARY).spec.items()
            if key in ("filter", "alerts")}  # fmt: skip

    assert canonical(spec) == canonical(json.loads(keys))


@pytest.mark.parametrize(
    ("prices", "more", "told"), table("| price of each second | more | told, by second |")
)
def test_an_alert_is_told_in_the_seconds_that_the_page_says(prices, more, told):
    """In a stream that hears these prices."""
    found = []

    async def story(world):
        alert = {"when": "price_close > 70", **json.loads(more or "{}")}
        spec = {
            "sources": [{"type": "puppet", "exchanges": ["alpha"]}], "symbols": ["BTC/USDT"],
            "interval_sec": 1, "fields": ["price_close"], "alerts": [alert],
        }  # fmt: skip
        seconds = prices.split()
        async with world.stream(spec):
            for price in seconds:
                if price != "-":
                    now_ns = world.clock.now_ns()
                    trade = Trade("BTC/USDT", now_ns, float(price), 1.0)
                    world.emit("alpha", "trades", trade)
                await world.clock.advance(1)
            await world.clock.advance(3)
            found.extend((await world.records())[: len(seconds)])

    play(story)
    codes = [
        f"{at} `{notice['code']}`"
        for at, record in enumerate(found)
        for notice in record["notices"]
        if notice["code"].startswith("alert")
    ]
    assert " · ".join(codes) == f"{told}`"


def test_the_spec_and_the_notice_of_the_page_are_real():
    """One is read, the other is what it tells."""
    blocks = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
    spec, notice = map(json.loads, blocks)

    (alert,) = read_spec(spec)[0].alerts
    said = f"{alert.name}: {alert.symbol}: {alert.when} holds for 10s"
    begin_ns = 1_767_225_605 * SECOND
    real = Notice(code="alert", detail=said, from_ns=begin_ns, to_ns=begin_ns + 10 * SECOND,
                  alert=alert.name)  # fmt: skip
    record = a_record(real)
    shown = record_as_json(record, stream_id="s", offset=Offset(1, 0), timeframe="1s")
    assert shown["notices"] == [notice]


def test_every_function_and_limit_is_on_the_page():
    """None is missing, and none is promised that isn't there."""
    shown = set(re.findall(r"`(\w+)\(", PAGE.split("### Unknown")[0]))
    assert shown == set(FUNCTIONS)
    said = f"at most {MAX_TEXT} characters, {MAX_NODES} parts and {MAX_DEPTH} levels"
    assert said in PAGE
