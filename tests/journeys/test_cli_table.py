"""The live table: 80 columns are enough, and nothing that matters is left unsaid."""

from __future__ import annotations

import io

import pytest

from bond_server.cli.table import Table, decimals_for
from bond_server.cli.tally import Tally


def a_source(**said):
    """Return a source's report."""
    return {"status": "live", "coverage": 1.0, "count": 3, "lag_ms": 38, "late": 0,
            "duplicates": 0, "gaps": 0, "rejected": 0, **said}  # fmt: skip


PRICES = {
    "price_avg": 91613.3, "price_open": 91610.0, "price_high": 91620.5, "price_low": 91600.25,
    "price_close": 91615.0, "vwap": 91612.0, "volume_sum": 0.0706, "trades": 7,
}  # fmt: skip


def a_record(*, at="13:30:05", sources=None, notices=(), symbol="BTC/USDT", **fields):
    """Return a record as clients get it."""
    return {
        "id": "1-0", "stream_id": "8f2a1c9d4b3e7a10", "symbol": symbol, "timeframe": "1s",
        "rev": 0, "partial": False, "ts": f"2025-10-21T{at}Z",
        "window_start": "2025-10-21T13:30:04Z", "window_end": f"2025-10-21T{at}Z",
        **(fields or PRICES), "sources": sources or {"binance": a_source()},
        "notices": list(notices), "raw_data": {"sources": ["binance"]},
    }  # fmt: skip


@pytest.fixture
def shown(monkeypatch):
    """Return a function that shows records in so many columns and returns the lines."""

    def show(*records, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        out = io.StringIO()
        table = Table(out)
        for record in records:
            table.show(record)
        return out.getvalue().splitlines()

    return show


def test_a_row_fits_80_columns(shown):
    """
    Time, symbol, price, high, low, volume, sources and lag fit; the rest is named as left out.
    """
    head, hidden, row = shown(a_record())

    assert head.split() == [
        "time", "symbol", "price_avg", "high", "low", "volume", "sources", "lag",
    ]  # fmt: skip
    assert row.split() == [
        "13:30:05", "BTC/USDT", "91,613.30", "91,620.50", "91,600.25", "0.0706", "binance", "38ms",
    ]  # fmt: skip
    assert "price_open price_close vwap trades" in hidden
    assert max(map(len, (head, hidden, row))) <= 80


def test_a_wide_terminal_shows_every_field(shown):
    """
    With room for it nothing is left out.
    """
    head, row = shown(a_record(), columns=160)

    assert "vwap" in head
    assert "price_open" in head
    assert "91,612.00" in row


def test_unknown_is_a_dash_and_not_zero(shown):
    """
    What is null shows as a dash, a true zero as a number.
    """
    *_, row = shown(a_record(price_avg=None, volume_sum=0.0))

    assert row.split()[2:4] == ["-", "0.00"]


def test_what_was_asked_for_by_its_own_word_stays_before_high_and_low(shown):
    """
    Bid and ask are shown even where there is then no room for high and low.
    """
    head, *_ = shown(a_record(**PRICES, bid_avg=91612.5, ask_avg=91614.5))

    assert {"bid", "ask"} <= set(head.split())
    assert not {"high", "low"} & set(head.split())


def test_a_sick_source_is_marked_and_its_reason_told_once(shown):
    """
    A stale source stands first with a mark; why, and that it is back, is said on a line above.
    """
    stale = a_source(status="stale", reason="nothing new on trades for 5.0 s")
    lines = shown(
        a_record(at="13:30:05", sources={"binance": a_source(), "okx": a_source()}),
        a_record(at="13:30:06", sources={"binance": a_source(), "okx": stale}),
        a_record(at="13:30:07", sources={"binance": a_source(), "okx": stale}),
        a_record(at="13:30:08", sources={"binance": a_source(), "okx": a_source()}),
        columns=120,
    )

    told = [line for line in lines if line.startswith("!")]
    rows = [line for line in lines if line.lstrip().startswith("13:30")]
    assert told == [
        "! 13:30:06 okx stale: nothing new on trades for 5.0 s",
        "! 13:30:08 okx is live again",
    ]
    assert "~okx stale binance" in rows[1]
    assert "~" not in rows[3]


def test_a_notice_of_the_whole_stream_is_told_once_for_all_symbols(shown):
    """
    A notice that stands in every symbol's record is printed once a window.
    """
    notice = {"code": "failover", "source": "okx", "from": None, "to": None,
              "detail": "okx stands in for binance"}  # fmt: skip
    lines = shown(
        a_record(symbol="BTC/USDT", notices=[notice]), a_record(symbol="ETH/USDT", notices=[notice])
    )

    told = [line for line in lines if line.startswith("!")]
    assert told == ["! 13:30:05 failover okx stands in for binance"]


def test_simulated_data_have_a_badge_and_a_mark(shown):
    """
    The head has a badge, and each row with made-up data a mark of its own.
    """
    badge, head, *_, row = shown(a_record(sources={"binance": a_source(simulated=True)}))

    assert badge.strip().startswith("SIMULATED")
    assert head.split()[0] == "time"
    assert row.startswith("SIM ")


def test_real_data_have_no_badge(shown):
    """
    Nothing says simulated where nothing is.
    """
    assert not any("SIM" in line for line in shown(a_record()))


def test_what_grows_is_given_room(shown):
    """
    A longer symbol widens its column, and the head is printed again to match.
    """
    lines = shown(
        a_record(), a_record(symbol="BTC/USD:BTC-220527"), a_record(at="13:30:06"), columns=120
    )

    rows = [line for line in lines if "BTC/US" in line]
    heads = [line for line in lines if "symbol" in line]
    assert len(heads) == 2
    assert len(rows[1]) == len(rows[2])


@pytest.mark.parametrize(
    ("value", "decimals"), [(91613.3, 2), (141.2, 3), (1.65, 5), (0.158, 6), (0.0000130, 8)]
)
def test_small_prices_have_more_decimals(value, decimals):
    """
    Six digits count, within two to eight decimals.
    """
    assert decimals_for(value, digits=6) == decimals


def test_the_summary_counts_each_account_once():
    """
    A larger timeframe tells the same late event again, and a stream-wide source tells one account
    in every symbol's record; neither counts twice.
    """
    tally = Tally()
    news = a_source(scope="stream", late=2)
    for symbol in ("BTC/USDT", "ETH/USDT"):
        tally.add(a_record(symbol=symbol, sources={"okx": a_source(late=1), "news": news}))
        tally.add(a_record(symbol=symbol, sources={"okx": a_source(late=1)}) | {"timeframe": "1m"})

    assert tally.line() == "4 records · late 4 · duplicates 0 · rejected 0 · gaps 0"


def test_nothing_will_come_when_every_source_of_every_symbol_has_failed():
    """
    One source that may yet be heard, of one symbol, is hope.
    """
    failed = {"okx": a_source(status="failed", reason="it is shut")}
    tally = Tally()
    tally.add(a_record(symbol="BTC/USDT", sources=failed))
    assert tally.is_hopeless
    assert tally.reasons() == {"okx": "it is shut"}

    tally.add(a_record(symbol="ETH/USDT", sources={"okx": a_source()}))
    assert not tally.is_hopeless
