"""Register the built-in aggregators."""

from __future__ import annotations

from collections.abc import Iterable

from bond_core.plugin import AggregatorSpec, hookimpl

_PRICES = ("price_avg", "price_open", "price_high", "price_low", "price_close")


@hookimpl
def bond_aggregators() -> Iterable[AggregatorSpec]:
    """Describe the fields of `docs/records.md` that need no plugin."""
    yield AggregatorSpec(
        name="builtin.prices",
        kind="trade",
        fields=(*_PRICES, "vwap"),
        factory="bond_core.aggregators.prices:TradePrices",
        summary="Average, open, high, low, close and volume-weighted price of trades",
    )
    yield AggregatorSpec(
        name="builtin.sampled_prices",
        kind="quote",
        fields=_PRICES,
        factory="bond_core.aggregators.prices:QuotePrices",
        summary="The same prices from samples, where a source brings no trades",
        rank=1,
    )
    yield AggregatorSpec(
        name="builtin.volume",
        kind="trade",
        fields=("volume_sum", "trades", "buy_volume", "sell_volume", "unknown_volume"),
        factory="bond_core.aggregators.volume:Volume",
        summary="Volume and number of trades, and volume by the aggressor's side",
    )
    yield AggregatorSpec(
        name="builtin.quotes",
        kind="quote",
        fields=("bid_avg", "ask_avg"),
        factory="bond_core.aggregators.quotes:Quotes",
        summary="Mean best bid and ask over the quotes of the window",
    )
    yield AggregatorSpec(
        name="builtin.tweets",
        kind="post",
        fields=("tweets",),
        factory="bond_core.aggregators.counts:Tweets",
        summary="Number of posts",
    )
    yield AggregatorSpec(
        name="builtin.onchain",
        kind="chain",
        fields=("onchain_count",),
        factory="bond_core.aggregators.counts:Onchain",
        summary="Number of on-chain events",
    )
    yield AggregatorSpec(
        name="builtin.custom",
        kind="custom",
        fields=("custom_count",),
        factory="bond_core.aggregators.counts:Custom",
        summary="Number of events from sources of one's own",
    )
    yield AggregatorSpec(
        name="builtin.liquidations",
        kind="liquidation",
        fields=("liquidations",),
        factory="bond_core.aggregators.counts:Liquidations",
        summary="Number of liquidations",
    )
