"""A source that says odd things, nonsense or nothing: counted, told, survived, never guessed."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import zlib

from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_websocket.frames import MAX_BYTES

RULE = {
    "kind": "trade",
    "when": {"$.e": "trade"},
    "symbol": "$.s",
    "time": {"path": "$.t", "unit": "ms"},
    "id": "$.id",
    "price": "$.p",
    "size": {"path": "$.q", "factor": 0.1},
    "side": {"path": "$.side", "buy": ["b"], "sell": ["s"]},
}
MAPPING = {
    "subscribe": [{"sub": ["{names}"]}],
    "unsubscribe": [{"unsub": ["{names}"]}],
    "confirm": ["ok"],
    "ignore": ["hello", {"$.e": "info"}],
    "events": [RULE],
}
LACK = object()


def trade(n=1, **odd):
    """Return a message; a field that is LACK is left out."""
    said = {"e": "trade", "s": "BTCUSDT", "t": time.time_ns() // 10**6, "id": n, "p": "100.5",
            "q": 3, "side": "b"} | odd  # fmt: skip
    return {key: value for key, value in said.items() if value is not LACK}


def run(loopback, scenario, mapping=MAPPING, on_message=lambda _: ["ok"], **keys):
    """Run a scenario with a source and a stream that listens to it."""

    async def go():
        async with loopback.a_source(on_message) as source:
            spec = loopback.spec_of(source.url, mapping, **keys)
            async with loopback.listening(spec) as heard:
                await source.until(lambda: source.connections)
                return await scenario(source, heard)

    return asyncio.run(go())


ODD = {
    "no price": ({"p": LACK}, "trade: price at $.p is missing"),
    "null price": ({"p": None}, "trade: price at $.p is null and no number"),
    "a word for a price": ({"p": "n/a"}, "trade: price at $.p is a text that is no number"),
    "NaN as text": ({"p": "NaN"}, "trade: price at $.p is a text that is no number"),
    "an infinite text": ({"p": "1e999"}, "trade: price at $.p is no finite number"),
    "a hexadecimal": ({"p": "0x10"}, "trade: price at $.p is a text that is no number"),
    "digits of another script": ({"p": "١٢"}, "trade: price at $.p is a text that is no number"),
    "a flag for a price": ({"p": True}, "trade: price at $.p is true or false and no number"),
    "a list for a price": ({"p": [1]}, "trade: price at $.p is a list and no number"),
    "price 0": ({"p": 0}, "its price is not a finite number above 0"),
    "a price below 0": ({"p": "-1"}, "its price is not a finite number above 0"),
    "a size below 0": ({"q": -1}, "its size is not a finite number, or below 0"),
    "null size": ({"q": None}, "trade: size at $.q is null and no number"),
    "no side": ({"side": LACK}, "trade: side at $.side is missing"),
    "another side": ({"side": "x"}, "trade: side at $.side is none of the words for buy and sell"),
    "seconds for ms": ({"t": 1_700_000_000}, "$.t lies outside of the years 2000 to 2099"),
    "tomorrow": ({"t": (time.time_ns() + 86_400 * 10**9) // 10**6}, "its time lies in the future"),
    "an endless time": ({"t": "1e400"}, "trade: time at $.t is no finite number"),
    "an id that is a list": ({"id": []}, "trade: id at $.id is a list and no text"),
    "no symbol": ({"s": LACK}, "trade: symbol at $.s is missing"),
}  # fmt: skip


def test_what_lacks_or_makes_no_sense_is_counted_with_its_reason(loopback):
    """Each odd event is counted as rejected and told by field and path; sound ones are heard."""

    async def scenario(source, heard):
        for odd, _ in ODD.values():
            await source.say(trade(**odd))
        await source.say(trade(2))
        await heard.until(lambda r: r["trades"])
        await heard.until(lambda _: heard.count("rejected") >= len(ODD))
        return heard

    heard = run(loopback, scenario, interval="500ms")
    told = "\n".join(heard.notices())
    for what, (_, why) in ODD.items():
        assert why in told, what
    assert heard.count("rejected") == len(ODD)
    (record,) = [r for r in heard.records if r["trades"]]
    assert (record["trades"], record["price_close"]) == (1, 100.5)
    assert record["volume_sum"] == 0.3  # 3 times 0.1, rounded once and not 0.30000000000000004


FORMS = {
    "text": json.dumps,
    "UTF-8": lambda m: json.dumps(m).encode(),
    "gzip": lambda m: gzip.compress(json.dumps(m).encode()),
    "zlib": lambda m: zlib.compress(json.dumps(m).encode()),
    "with space around": lambda m: f"\n {json.dumps(m, indent=1)} \r\n",
}


def test_forms_of_messages(loopback):
    """Text and bytes, packed or not, are read alike."""

    async def scenario(source, heard):
        for n, form in enumerate(FORMS.values()):
            await source.say(form(trade(n)))
        await heard.until(lambda _: heard.count("count") >= len(FORMS))
        return heard.count("rejected")

    assert run(loopback, scenario) == 0


UNREADABLE = {
    "binary": b"\xff\xfe\x00",
    "cut short": gzip.compress(b"{}")[:-4],
    "unpacks to too much": gzip.compress(b"x" * (MAX_BYTES + 1)),
    "no gzip": b"\x1f\x8bnonsense",
    "cut JSON": "{",
    "deep": "[" * 100_000,
    "NaN": '{"p": NaN}',
    "empty": "",
    "an unknown text": "pong",
    "a lone surrogate": '"\\ud800"',
}


def test_messages_that_cannot_be_read(loopback):
    """Each is counted and told, the connection stays, and what comes behind it is heard."""

    async def scenario(source, heard):
        for n, frame in enumerate(UNREADABLE.values()):
            await source.say(frame, trade(n))
        await heard.until(lambda _: heard.count("count") >= len(UNREADABLE))
        return heard, source.opened

    heard, opened = run(loopback, scenario)
    assert heard.count("rejected") == len(UNREADABLE)
    told = "\n".join(heard.notices())
    for why in ("no JSON", "packed, and cut short", "it unpacks to more than 1048576 bytes"):
        assert f"a message could not be read ({why})" in told
    assert opened == 1


def test_a_huge_message_ends_the_connection_and_says_so(loopback):
    """More than 1 MiB is not taken; the reason is told, and the connection begins anew."""

    async def scenario(source, heard):
        await source.say(trade())
        await heard.until(lambda r: r["trades"])
        await source.say("x" * (MAX_BYTES + 1))
        why = await heard.until_status("reconnecting")
        await source.until(lambda: source.opened == 2 and source.connections)
        await heard.until_status("live")
        await source.say(trade(2))
        await heard.until(lambda r: r["trades"])
        return why

    assert run(loopback, scenario) == "127.0.0.1 sent a larger message than is taken"


def test_silence_becomes_stale_and_is_asked_anew(loopback):
    """A connected source that says nothing is stale, connected anew, and live when it speaks."""

    async def scenario(source, heard):
        await source.say(trade())
        await heard.until(lambda r: r["trades"])
        why = await heard.until_status("stale")
        await source.until(lambda: source.opened == 2 and source.connections)
        await source.until(lambda: len(source.heard) == 2)
        assert heard.status()[0] == "stale"  # a connection, and even `ok`, is no sign of data
        await source.say(trade(2))
        await heard.until_status("live")
        return why

    why = run(loopback, scenario, stale_sec=1)
    assert why.startswith("nothing new on trades for 1.")
    assert "but" not in why


def test_messages_that_no_rule_reads_are_no_life(loopback):
    """They are counted and shown, first at once; the stream is stale with what came instead."""
    error = {"event": "error", "msg": "unknown channel"}

    async def scenario(source, heard):
        await heard.until_status("live")
        async with asyncio.TaskGroup() as tasks:

            async def chatter():
                while True:
                    await source.say(error)
                    await asyncio.sleep(0.05)

            talking = tasks.create_task(chatter())
            why = await heard.until_status("stale")
            await heard.until(lambda r: any(n["code"] == "stale" for n in r["notices"]))
            talking.cancel()
        return why, heard

    why, heard = run(loopback, scenario, stale_sec=1)
    assert "messages that no rule reads, the last: " + json.dumps(error) in why
    told = [notice for notice in heard.notices() if "no rule of the mapping" in notice]
    assert len(told) == 1, told
    assert heard.count("rejected") == 1


def test_a_source_that_never_confirms_nor_sends_events_is_not_live(loopback):
    """Unknown messages alone never make a feed live."""

    async def scenario(source, heard):
        for _ in range(20):
            await source.say({"event": "welcome"})
        await heard.until(lambda _: heard.count("rejected") > 0)
        return heard.status()[0]

    assert run(loopback, scenario, on_message=None) == "starting"


def test_other_symbols_are_left_out_and_told_when_nothing_else_comes(loopback):
    """Events of symbols that nobody asked for are neither heard nor taken for life."""

    async def scenario(source, heard):
        await heard.until_status("live")
        await source.say(trade(s="XRPEUR"), trade(s="btcusdt"))
        why = await heard.until_status("stale")
        return why, heard

    why, heard = run(loopback, scenario, stale_sec=1)
    assert "2 events of other symbols, the last of 'btcusdt'" in why
    assert heard.count("count") == heard.count("rejected") == 0


def test_what_means_nothing_is_neither_counted_nor_life(loopback):
    """`ignore` and heartbeats are known: no rejection, and no sign that data flows."""
    send, answers = ["ping", {"op": "ping", "n": "{id}"}], ["pong", {"$.op": "pong"}]
    mapping = MAPPING | {"heartbeat": {"every_sec": 1, "send": send, "answers": answers}}

    def answer(message):
        return ["pong"] if message == "ping" else [{"op": "pong"}] if "ping" in message else ["ok"]

    async def scenario(source, heard):
        await heard.until_status("live")
        await source.say("hello", {"e": "info", "x": 1})
        await source.until(lambda: source.heard.count("ping") >= 2)
        why = await heard.until_status("stale")
        return why, heard, source.heard

    why, heard, sent = run(loopback, scenario, mapping, answer, stale_sec=2)
    assert "but" not in why
    assert heard.count("rejected") == 0
    assert json.loads(sent[2]) == {"op": "ping", "n": 3}


def test_a_source_that_asks_is_answered(loopback):
    """Its question is answered with its own value, and taken for nothing else."""
    reply = {"when": {"$.ping": {"exists": True}}, "value": "$.ping", "send": {"pong": "{value}"}}
    mapping = MAPPING | {"heartbeat": {"replies": [reply]}}

    async def scenario(source, heard):
        await heard.until_status("live")
        await source.say({"ping": 1_492_420_473_027}, gzip.compress(b'{"ping": "x"}'))
        await source.until(lambda: len(source.heard) == 3)
        return [json.loads(text) for text in source.heard[1:]], heard.count("rejected")

    assert run(loopback, scenario, mapping) == ([{"pong": 1_492_420_473_027}, {"pong": "x"}], 0)


def test_several_events_of_a_message_one_of_them_odd(loopback):
    """The odd one is counted, and those before and behind it are heard."""
    rule = RULE | {"when": {}, "each": "$.data[*].list[*]"} | {
        key: value.replace("$", "@") for key, value in RULE.items()
        if key in ("symbol", "id", "price")
    } | {"time": "receive", "size": "@.q"}  # fmt: skip
    del rule["side"]

    async def scenario(source, heard):
        lists = [[trade(1), trade(2, p=None)], [trade(3)], []]
        await source.say({"data": [{"list": each} for each in lists]}, {"data": []})
        await heard.until(lambda r: r["trades"])
        await source.say({"data": "none"})
        await heard.until(lambda _: heard.count("rejected") >= 2)
        return heard

    heard = run(loopback, scenario, MAPPING | {"events": [rule]}, interval="1s")
    assert heard.count("count") == 2
    assert heard.count("rejected") == 2
    assert any("each at $.data[*].list[*] is missing" in each for each in heard.notices())


def test_another_symbol_is_asked_for_on_the_open_connection(loopback):
    """A second stream's symbol is subscribed to alone, and asked for no longer when it is gone."""

    async def go():
        async with loopback.a_source(lambda _: ["ok"]) as source:
            spec = loopback.spec_of(source.url, MAPPING)
            async with loopback.listening(spec) as heard:
                await heard.until_status("live")
                more = loopback.spec_of(source.url, MAPPING, symbols=("BTC/USDT", "ETH/USDT"))
                stream, _ = await heard.bond.create(heard.bond.compile({"spec": more}))
                await source.until(lambda: len(source.heard) == 2)
                await heard.bond.delete(stream.stream_id)
                await source.until(lambda: len(source.heard) == 3)
                return source.opened, list(map(json.loads, source.heard))

    opened, sent = asyncio.run(go())
    assert opened == 1
    assert sent == [{"sub": ["BTCUSDT"]}, {"sub": ["ETHUSDT"]}, {"unsub": ["ETHUSDT"]}]


def test_a_symbol_that_the_source_has_no_name_for_fails_alone(loopback):
    """A stock has no quote: it fails with that reason, and the market beside it is heard."""

    async def go():
        async with loopback.a_source(lambda _: ["ok"]) as source:
            spec = loopback.spec_of(source.url, MAPPING, symbols=("BTC/USDT", "AAPL"))
            spec["sources"][0]["symbols"] = ["BTC/USDT", "AAPL"]
            async with loopback.listening(spec) as heard:
                await source.until(lambda: source.heard)
                await source.say(trade())
                await heard.until(lambda r: r["trades"])
                await heard.until(lambda r: r["symbol"] == "AAPL")
                return source.heard, heard.records

    sent, records = asyncio.run(go())
    assert json.loads(sent[0]) == {"sub": ["BTCUSDT"]}
    reasons = [r["sources"]["127.0.0.1"].get("reason") for r in records if r["symbol"] == "AAPL"]
    assert reasons[-1] == "the mapping's `symbols` has a part that AAPL has not"


def test_a_rule_may_say_whose_all_events_are(loopback):
    """With `only` a message needs no symbol, and the symbol no name at the source."""
    rule = {key: value for key, value in RULE.items() if key != "symbol"} | {"only": "AAPL"}

    async def go():
        async with loopback.a_source() as source:
            mapping = {"events": [rule], "subscribe": ["all"]}
            spec = loopback.spec_of(source.url, mapping, symbols=("AAPL",))
            spec["sources"][0]["symbols"] = ["AAPL"]
            async with loopback.listening(spec) as heard:
                await source.until(lambda: source.heard == ["all"])
                await source.say(trade(s=LACK))
                return await heard.until(lambda r: r["trades"])

    assert asyncio.run(go())["symbol"] == "AAPL"


class Turning:
    """A resolver whose name leads to a public address first, and inside later."""

    def __init__(self):
        self.asked = 0

    async def __call__(self, host):
        self.asked += 1
        return ["192.0.2.1"] if self.asked == 1 else ["127.0.0.1"]


def test_a_name_that_leads_inside_later_is_not_followed(loopback):
    """At each connection the addresses are looked at anew; nothing is dialled inside."""
    names = Turning()

    async def go():
        async with loopback.a_source() as source:
            spec = loopback.spec_of("wss://turning.example/ws", MAPPING)
            async with loopback.listening(spec, Egress(EgressPolicy(), resolve=names)) as heard:
                async with asyncio.timeout(20):
                    while names.asked < 2:  # noqa: ASYNC110 -- nothing tells of it
                        await asyncio.sleep(0.01)
                return await heard.until_status("reconnecting", "turning.example"), source.opened

    why, opened = asyncio.run(go())
    assert why == "turning.example does not lead to a public address"
    assert opened == 0


def test_loopback_is_reached_only_where_the_operator_says_so(loopback):
    """The very address that works in a home lab is refused by a plain server."""
    assert EgressPolicy().private == ()
    assert loopback.home().policy.private == PRIVATE


def test_what_is_dropped_and_wanted_again_at_once_is_asked_for_again(loopback):
    """In one turn of the loop: the source is told both, and confirms the new subscription."""

    async def scenario(source, heard):
        await heard.until_status("live")
        (supervisor,) = heard.bond.feeds.supervisors()
        (feed,) = supervisor.feeds.values()
        supervisor.drop(feed)
        again = supervisor.feed(feed.subscription.channel, feed.symbol)
        async with asyncio.timeout(20):
            while again.status != "live":  # noqa: ASYNC110 -- nothing tells of it
                await asyncio.sleep(0.01)
        await source.until(lambda: len(source.heard) == 3)
        return [json.loads(message) for message in source.heard]

    sub = {"sub": ["BTCUSDT"]}
    assert run(loopback, scenario) == [sub, {"unsub": ["BTCUSDT"]}, sub]
