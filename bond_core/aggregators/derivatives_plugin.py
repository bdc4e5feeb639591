"""Describe the built-in fields of order books, contracts and the venues' own candles."""

from __future__ import annotations

from collections.abc import Iterable

from bond_core.plugin import AggregatorSpec

_SIZED = ("bids", "asks", "bid_depth", "ask_depth", "book_imbalance")


def derivatives() -> Iterable[AggregatorSpec]:
    """Yield what `bond_core.aggregators.plugin` registers after the others."""
    yield AggregatorSpec(
        name="builtin.book",
        kind="book",
        fields=(
            *_SIZED,
            *(f"{name}_{{1..100}}" for name in _SIZED),
            "book_mid",
            "book_spread",
            "book_spread_bps",
        ),
        factory="bond_core.aggregators.books:Book",
        summary="Levels of the order book at the window's end, and what lies in them",
        words={
            "bid depth": "bid_depth", "ask depth": "ask_depth", "bid volume": "bid_depth",
            "ask volume": "ask_depth", "bid liquidity": "bid_depth", "ask liquidity": "ask_depth",
            "depth imbalance": "book_imbalance", "book depth imbalance": "book_imbalance",
            "order book imbalance": "book_imbalance", "orderbook imbalance": "book_imbalance",
            "book imbalance": "book_imbalance", "order book depth imbalance": "book_imbalance",
        },
    )  # fmt: skip
    yield AggregatorSpec(
        name="builtin.best_of_books",
        kind="book",
        fields=("best_bid", "best_bid_venue", "best_ask", "best_ask_venue"),
        factory="bond_core.aggregators.books:BestOfBooks",
        summary="Best bid and offer at the window's end, where a source brings books, not quotes",
        rank=1,
    )
    yield AggregatorSpec(
        name="builtin.funding",
        kind="funding",
        fields=("funding_rate", "mark_price", "funding_rate_by_venue", "mark_price_by_venue"),
        factory="bond_core.aggregators.derivatives:Funding",
        summary="Funding rate and mark price, as last told",
    )
    yield AggregatorSpec(
        name="builtin.open_interest",
        kind="open_interest",
        fields=("open_interest", "open_interest_value", "open_interest_by_venue"),
        factory="bond_core.aggregators.derivatives:OpenInterest",
        summary="Contracts outstanding, as last told",
    )
    yield AggregatorSpec(
        name="builtin.candles",
        kind="candle",
        fields=("candle_open", "candle_high", "candle_low", "candle_close", "candle_volume"),
        factory="bond_core.aggregators.derivatives:Candles",
        summary="The venue's own candle of a minute, as last told",
    )
    yield AggregatorSpec(
        name="builtin.liquidations",
        kind="liquidation",
        fields=("liquidations",),
        factory="bond_core.aggregators.counts:Liquidations",
        summary="Number of liquidations",
    )
    yield AggregatorSpec(
        name="builtin.liquidation_volume",
        kind="liquidation",
        fields=(
            "liquidation_buys",
            "liquidation_sells",
            "liquidation_volume",
            "liquidation_buy_volume",
            "liquidation_sell_volume",
        ),
        factory="bond_core.aggregators.derivatives:LiquidationVolume",
        summary="Volume of liquidations, and both by side",
        words={
            "liquidation volume": "liquidation_volume", "liquidated volume": "liquidation_volume",
            "long liquidations": "liquidation_sells", "short liquidations": "liquidation_buys",
            "liquidated longs": "liquidation_sells", "liquidated shorts": "liquidation_buys",
        },
    )  # fmt: skip
