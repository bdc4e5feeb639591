"""Register the built-in aggregators."""

from __future__ import annotations

from collections.abc import Iterable

from bond_core.aggregators.derivatives_plugin import derivatives
from bond_core.plugin import AggregatorSpec, hookimpl

_PERCENTILES = {f"p{n}": f"price_p{n}" for n in range(1, 100)}
_ROLLING = ("price_mean_{2..500}", "price_min_{2..500}", "price_max_{2..500}")
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
        words={
            "buy volume": "buy_volume", "buying volume": "buy_volume",
            "sell volume": "sell_volume", "selling volume": "sell_volume",
            "unknown volume": "unknown_volume",
        },
    )  # fmt: skip
    yield AggregatorSpec(
        name="builtin.quotes",
        kind="quote",
        fields=("bid_avg", "ask_avg"),
        factory="bond_core.aggregators.quotes:Quotes",
        summary="Mean best bid and ask over the quotes of the window",
    )
    yield AggregatorSpec(
        name="builtin.between_quotes",
        kind="quote",
        fields=("mid", "spread", "spread_bps", "imbalance"),
        factory="bond_core.aggregators.quotes:BetweenQuotes",
        summary="Mean mid, spread and top-of-book imbalance over the quotes of the window",
        words={
            "mid": "mid", "mid price": "mid", "midprice": "mid",
            "imbalance": "imbalance", "quote imbalance": "imbalance",
            "quotes imbalance": "imbalance", "top of book imbalance": "imbalance",
            "bid ask imbalance": "imbalance",
            "spread bps": "spread_bps", "spread in bps": "spread_bps", "bps spread": "spread_bps",
            "spread in basis points": "spread_bps", "relative spread": "spread_bps",
        },
    )  # fmt: skip
    yield AggregatorSpec(
        name="builtin.quotes_by_time",
        kind="quote",
        fields=("bid_twa", "ask_twa", "mid_twa", "spread_twa"),
        factory="bond_core.aggregators.quotes:QuotesByTime",
        summary="Bid, ask, mid and spread, each quote weighted by how long it stood",
    )
    yield AggregatorSpec(
        name="builtin.best_quotes",
        kind="quote",
        fields=("best_bid", "best_bid_venue", "best_ask", "best_ask_venue"),
        factory="bond_core.aggregators.venues:BestQuotes",
        summary="Best bid and offer over all live venues at the window's end",
    )
    yield AggregatorSpec(
        name="builtin.venue_spread",
        kind="quote",
        fields=("venue_spread",),
        factory="bond_core.aggregators.venues:VenueSpread",
        summary="How far the venues' prices are apart at the window's end",
    )
    yield AggregatorSpec(
        name="builtin.traded_venue_spread",
        kind="trade",
        fields=("venue_spread",),
        factory="bond_core.aggregators.venues:TradedVenueSpread",
        summary="How far the venues' last trades are apart, where a source brings no quotes",
        rank=1,
    )
    yield AggregatorSpec(
        name="builtin.volume_share",
        kind="trade",
        fields=("volume_share",),
        factory="bond_core.aggregators.venues:VolumeShare",
        summary="Each venue's part of the volume",
        words={
            "volume share": "volume_share", "market share": "volume_share",
            "share of volume": "volume_share", "volume shares": "volume_share",
        },
    )  # fmt: skip
    yield AggregatorSpec(
        name="builtin.volatility",
        kind="trade",
        fields=("volatility",),
        factory="bond_core.aggregators.moves:Volatility",
        summary="Root of the sum of squared log returns, trade by trade",
        words={
            "volatility": "volatility", "realised volatility": "volatility",
            "realized volatility": "volatility", "price volatility": "volatility",
        },
    )  # fmt: skip
    yield AggregatorSpec(
        name="builtin.returns",
        kind="trade",
        fields=("return_simple", "return_log"),
        factory="bond_core.aggregators.moves:Returns",
        summary="Return from one window's close to the next one's",
        words={
            "return": "return_simple", "returns": "return_simple",
            "simple return": "return_simple", "simple returns": "return_simple",
            "log return": "return_log", "log returns": "return_log",
            "logarithmic return": "return_log", "logarithmic returns": "return_log",
        },
    )  # fmt: skip
    yield AggregatorSpec(
        name="builtin.sampled_returns",
        kind="quote",
        fields=("return_simple", "return_log"),
        factory="bond_core.aggregators.moves:SampledReturns",
        summary="The same returns from samples, where a source brings no trades",
        rank=1,
    )
    yield AggregatorSpec(
        name="builtin.rolling_prices",
        kind="trade",
        fields=_ROLLING,
        factory="bond_core.aggregators.rolling:RollingPrices",
        summary="Mean close, lowest low and highest high of the last windows",
    )
    yield AggregatorSpec(
        name="builtin.sampled_rolling_prices",
        kind="quote",
        fields=_ROLLING,
        factory="bond_core.aggregators.rolling:SampledRollingPrices",
        summary="The same from samples, where a source brings no trades",
        rank=1,
    )
    yield AggregatorSpec(
        name="builtin.rolling_volume",
        kind="trade",
        fields=("volume_mean_{2..500}", "volume_sum_{2..500}"),
        factory="bond_core.aggregators.rolling:RollingVolume",
        summary="Mean and sum of the volume of the last windows",
    )
    yield AggregatorSpec(
        name="builtin.price_quantiles",
        kind="trade",
        fields=("price_median", "price_p{1..99}"),
        factory="bond_core.aggregators.quantiles:PriceQuantiles",
        summary="Exact quantiles of trade prices",
        words={"median": "price_median", "median price": "price_median", **_PERCENTILES},
    )
    yield AggregatorSpec(
        name="builtin.authors",
        kind="post",
        fields=("authors",),
        factory="bond_core.aggregators.authors:Authors",
        summary="Number of different authors of posts",
        words={
            "authors": "authors", "author": "authors", "distinct authors": "authors",
            "unique authors": "authors", "number of authors": "authors",
        },
    )  # fmt: skip
    yield AggregatorSpec(
        name="builtin.engagement",
        kind="post",
        fields=("engagement",),
        factory="bond_core.aggregators.authors:Engagement",
        summary="How often posts were liked, repeated, quoted and answered when they were heard",
        words={"engagement": "engagement", "post engagement": "engagement"},
    )
    yield AggregatorSpec(
        name="builtin.news",
        kind="news",
        fields=("news",),
        factory="bond_core.aggregators.counts:News",
        summary="Number of news items",
    )
    yield AggregatorSpec(
        name="builtin.trends",
        kind="trend",
        fields=("trends", "trends_rising"),
        factory="bond_core.aggregators.trends:Trends",
        summary="Search interest as last told, and what rises beside it",
        words={"rising queries": "trends_rising", "rising searches": "trends_rising"},
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
        name="builtin.onchain_types",
        kind="chain",
        fields=(
            "onchain_tx", "onchain_transfers", "onchain_blocks", "onchain_accounts",
            "onchain_moved",
        ),
        factory="bond_core.aggregators.counts:OnchainTypes",
        summary="Number of on-chain events by type, and the amount that transfers moved",
    )  # fmt: skip
    yield AggregatorSpec(
        name="builtin.custom",
        kind="custom",
        fields=("custom_count",),
        factory="bond_core.aggregators.counts:Custom",
        summary="Number of events from sources of one's own",
    )
    yield from derivatives()
