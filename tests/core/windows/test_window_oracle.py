"""Windows against an oracle of other hands: polars' `group_by_dynamic`."""

import math

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tests.core.windows.streams import SECOND
from tests.core.windows.test_window_properties import a_stream, events, play


def grouped(heard, seconds):
    """The windows that polars makes of the events, by symbol and start."""
    rows = [(e.trade.symbol, e.trade.ts, e.trade.price, e.trade.size) for e in heard]
    columns = {"symbol": pl.String, "ts": pl.Int64, "price": pl.Float64, "size": pl.Float64}
    frame = pl.DataFrame(rows, schema=columns, orient="row").sort("ts")
    price, size = pl.col("price"), pl.col("size")
    windows = frame.group_by_dynamic(
        "ts", every=f"{seconds * SECOND}i", closed="left", label="left", group_by="symbol"
    ).agg(
        trades=pl.len(),
        volume_sum=size.sum(),
        price_open=price.first(),
        price_high=price.max(),
        price_low=price.min(),
        price_close=price.last(),
        vwap=(price * size).sum() / size.sum(),
    )
    return {(row["symbol"], row["ts"]): row for row in windows.to_dicts()}


@given(events(sources=("binance", "okx")), st.sampled_from([1, 3, 7]))
def test_p1_windows_equal_polars_group_by_dynamic(heard, seconds):
    """Without late events each window is polars', and where polars has none nothing was traded."""
    records = play(a_stream("binance", "okx", seconds=(seconds,)), heard)
    oracle = grouped(heard, seconds)

    for (symbol, _, start_ns), record in records.items():
        row = oracle.pop((symbol, start_ns), None)
        if row is None:
            assert (record.values["trades"], record.values["price_close"]) == (0, None)
            continue
        for name in row.keys() - {"symbol", "ts"}:
            assert math.isclose(record.values[name], row[name], rel_tol=1e-9), name
    assert not oracle
