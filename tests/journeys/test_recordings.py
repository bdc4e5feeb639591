"""Recorded traffic, played to real connectors, comes out as what the file itself says.

What is expected is computed here, straight from the recording and with nothing of Bond's: the
file is read line by line, sums are exact fractions. Played, it goes the whole way: venue on
loopback, ccxt, feeds, windows, log, server, WebSocket, the terminal.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.journeys.command_line import bond

NS = 10**9
WINDOW_NS = NS
# A trade is late once its window has closed; that is 2 s after its end where the source is
# silent (lateness 0.5 s and idle 1.5 s, contract §2). Neither file has one in between.
CERTAINLY_IN_TIME_NS = 1 * NS
CERTAINLY_LATE_NS = 10 * NS


class FileTrade(NamedTuple):
    """A trade as the file has it: times in ns, price and size as written."""

    symbol: str
    received_ns: int
    ts_ns: int
    id: int
    price: Fraction
    size: Fraction

    @property
    def is_late(self) -> bool:
        """Whether it was so old on arrival that its window was long closed."""
        age_ns = self.received_ns - self.ts_ns
        assert not CERTAINLY_IN_TIME_NS < age_ns < CERTAINLY_LATE_NS, "the file is not clear-cut"
        return age_ns >= CERTAINLY_LATE_NS


def received(path: Path) -> Iterator[tuple[int, Any]]:
    """Give each frame the client received: when, in ns, and what it said."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("ws") or not line.strip():
                continue  # the connection opens, or the client asks
            at, _, text = line.partition(": ")
            yield int(Fraction(at) * NS), json.loads(text)


# Unified symbols: https://docs.ccxt.com, "Contract Naming Conventions". The two contracts are
# inverse: their sizes count contracts, and records say so.
OKX_SYMBOLS = {
    "BTC-USDT": "BTC/USDT",
    "BTC-USD-220527": "BTC/USD:BTC-220527",
    "UNI-USD-SWAP": "UNI/USD:UNI",
}
INVERSE = {"BTC/USD:BTC-220527", "UNI/USD:UNI"}


def okx_trades(path: Path) -> Iterator[FileTrade]:
    """Read the trades channel of https://www.okx.com/docs-v5/en/#public-data-websocket."""
    for at_ns, message in received(path):
        if message.get("arg", {}).get("channel") == "trades" and "data" in message:
            for row in message["data"]:
                yield FileTrade(
                    symbol=OKX_SYMBOLS[row["instId"]],
                    received_ns=at_ns,
                    ts_ns=int(row["ts"]) * 10**6,
                    id=int(row["tradeId"]),
                    price=Fraction(row["px"]),
                    size=Fraction(row["sz"]),
                )


def coinbase_trades(path: Path) -> Iterator[FileTrade]:
    """Read `match` of https://docs.cdp.coinbase.com/exchange/websocket-feed/channels.

    Not `last_match`, which tells at subscription what was traded before; ccxt ignores it.
    """
    for at_ns, message in received(path):
        if message["type"] == "match":
            whole, _, decimals = message["time"].removesuffix("Z").partition(".")
            seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
            yield FileTrade(
                symbol=message["product_id"].replace("-", "/"),
                received_ns=at_ns,
                ts_ns=seconds * NS + int(decimals.ljust(9, "0")),
                id=message["trade_id"],
                price=Fraction(message["price"]),
                size=Fraction(message["size"]),
            )


class Session(NamedTuple):
    """A recording, how to read it, and what was counted in it by hand."""

    file: str
    read: Any
    venue: str
    trades: int
    late: Counter[str]


SESSIONS = [
    Session(
        file="OKX.ws.1.0",
        read=okx_trades,
        venue="okx",
        trades=74,
        late=Counter({"BTC/USD:BTC-220527": 1, "UNI/USD:UNI": 1}),
    ),
    Session(
        file="COINBASE.ws.28.0",
        read=coinbase_trades,
        venue="coinbaseexchange",
        trades=97,
        late=Counter(),
    ),
]


@pytest.fixture(scope="module", params=SESSIONS, ids=lambda session: session.file)
def session(request):
    """Return each session in turn."""
    return request.param


@pytest.fixture(scope="module")
def file(session, recordings):
    """Return the session's file; skip, saying so, where it is absent."""
    path = recordings / "cryptofeed" / session.file
    if not path.is_file():
        pytest.skip(f"no recording at {path}")
    return path


@pytest.fixture(scope="module")
def trades(session, file):
    """Return the trades of the file."""
    return list(session.read(file))


@pytest.fixture(scope="module")
def played(file):
    """Play the file, and return what was printed."""
    return bond("demo", "--recording", str(file), "--format", "json")


@pytest.fixture(scope="module")
def records(played):
    """Return the records that were printed."""
    assert played.returncode == 0, played.stderr
    return [json.loads(line) for line in played.stdout.splitlines()]


def expected_windows(trades: list[FileTrade]) -> dict[tuple[str, int], dict[str, Any]]:
    """Compute what each window should say, by symbol and start."""
    by_window = defaultdict(list)
    for trade in trades:
        if not trade.is_late:
            start_ns = trade.ts_ns // WINDOW_NS * WINDOW_NS
            by_window[trade.symbol, start_ns].append(trade)
    windows = {}
    for key, inside in by_window.items():
        in_order = sorted(inside, key=lambda trade: (trade.ts_ns, trade.id))
        prices = [trade.price for trade in inside]
        volume = sum((trade.size for trade in inside), Fraction())
        value = sum((trade.price * trade.size for trade in inside), Fraction())
        windows[key] = {
            "trades": len(inside),
            "price_open": float(in_order[0].price),
            "price_high": float(max(prices)),
            "price_low": float(min(prices)),
            "price_close": float(in_order[-1].price),
            "price_avg": float(sum(prices, Fraction()) / len(prices)),
            "volume_sum": float(volume),
            "vwap": float(value / volume),
        }
    return windows


EXACT = ("trades", "price_open", "price_high", "price_low", "price_close")
SUMS = ("price_avg", "volume_sum", "vwap")


def start_ns(record: dict[str, Any]) -> int:
    """Return when a record's window starts, in ns."""
    at = datetime.strptime(record["window_start"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return int(at.timestamp()) * NS


def test_every_window_says_what_the_file_says(trades, records):
    """
    Count, open, high, low and close are exactly the file's, sums and means to 1e-12, in each
    window that has trades; every other window has none, and no price.
    """
    expected = expected_windows(trades)
    found = {(record["symbol"], start_ns(record)): record for record in records}

    assert expected.keys() <= found.keys()
    for key, record in found.items():
        said = expected.get(key)
        if said is None:
            assert record["trades"] in (0, None), key
            assert record["price_avg"] is None, key
            assert not record["volume_sum"], key
            continue
        assert {name: record[name] for name in EXACT} == {name: said[name] for name in EXACT}, key
        for name in SUMS:
            assert math.isclose(record[name], said[name], rel_tol=1e-12), (key, name)


def test_no_trade_is_lost(session, trades, records):
    """
    In windows, late, duplicate and rejected trades are together all that the file has.
    """
    counted = Counter()
    for record in records:
        source = record["sources"][session.venue]
        counted["in windows"] += record["trades"] or 0
        for name in ("late", "duplicates", "rejected"):
            counted[name] += source[name]

    assert len(trades) == session.trades
    assert counted["late"] == session.late.total()
    assert counted.total() == session.trades


def test_late_trades_are_counted_and_told(session, trades, records):
    """
    A trade that is 10 or 25 s old when it comes is in no window, and its symbol's records say so.
    """
    assert Counter(trade.symbol for trade in trades if trade.is_late) == session.late
    late, told = Counter(), Counter()
    for record in records:
        late[record["symbol"]] += record["sources"][session.venue]["late"]
        told[record["symbol"]] += sum(
            (n["code"], n["source"]) == ("late_dropped", session.venue) for n in record["notices"]
        )

    assert +late == session.late
    assert set(+told) == set(session.late)


def test_every_window_has_a_record_of_every_symbol(trades, records):
    """
    From the first window to the last, each second has one record of each symbol, in one order.
    """
    symbols = list(dict.fromkeys(record["symbol"] for record in records))
    starts = sorted({start_ns(record) for record in records})

    assert {trade.symbol for trade in trades} <= set(symbols)
    assert starts == list(range(starts[0], starts[-1] + NS, NS))
    assert [record["symbol"] for record in records] == symbols * len(starts)
    assert starts[-1] >= max(trade.ts_ns for trade in trades) - NS


def test_ids_rise_and_everything_is_labelled(session, records):
    """
    Ids rise strictly, each source says that it is simulated, sizes that are contracts say so.
    """
    ids = [tuple(map(int, record["id"].split("-"))) for record in records]

    assert ids == sorted(set(ids))
    for record in records:
        assert all(source["simulated"] for source in record["sources"].values())
        if record["symbol"] in INVERSE and record["trades"]:
            assert "contracts" in record["size_unit"]
        if record["symbol"] not in INVERSE:
            assert "size_unit" not in record


def test_played_twice_it_is_the_same_byte_for_byte(file, played):
    """
    The same file gives the same bytes.
    """
    again = bond("demo", "--recording", str(file), "--format", "json")

    assert again.returncode == 0, again.stderr
    assert again.stdout == played.stdout
    assert played.stdout
