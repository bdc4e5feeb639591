"""The closed words of what Bond doesn't do, and those that no sentence loses quietly."""

from __future__ import annotations

from collections.abc import Mapping

from bond_server.language.phrases import phrases_of

# Words that say which, when or how: without them a sentence would mean something else.
TELLING = frozenset(
    phrases_of(
        "before|after|afterwards|midnight|noon|today|tomorrow|tonight|monday|tuesday|wednesday|"
        "thursday|friday|saturday|sunday|mondays|fridays|weekday|weekdays|weekend|weekends|am|pm|"
        "whichever|cheaper|cheapest|dearest|sorted|sort|ordered|grouped|group|separate|separated|"
        "separately|individually|respectively|rounded|round|delayed|delay|converted|divided|"
        "multiplied|minus|normalised|normalized|except|not|never|don|dont|doesn|doesnt|isn|isnt|"
        "nor|neither|hardly|barely|reverse|reversed|inverted|earliest|"
        "slowest|fastest|biggest|largest|smallest|closed|completed|finished|confirmed|premarket|"
        "afterhours|bps|cents|percent|ratio|same|the same|post|"
        "range|smoothed|interpolated|outliers|size|sizes|region|"
        "january|february|march|april|june|july|august|september|october|november|december"
    )
)
UNKNOWN_SOURCES = phrases_of(
    "reddit|subreddit|wallstreetbets|telegram|discord|facebook|instagram|tiktok|youtube|"
    "stocktwits|bloomberg|reuters|linkedin|mastodon|bluesky|farcaster|twitch|weibo|wechat|"
    "whatsapp|4chan|medium|substack|threads|yahoo|yahoo finance|tradingview|coingecko|"
    "coinmarketcap|refinitiv|weather|github|dune|glassnode"
)
# What may be several fields.
AMBIGUOUS_FIELDS: Mapping[str, tuple[str, ...]] = dict.fromkeys(
    phrases_of("order imbalance|orders imbalance|imbalance of orders|order imbalances"),
    ("order book imbalance", "quote imbalance", "buy and sell volume"),
)
# Assets named after the place where one trades: `on uniswap` is no asset.
PLACES_TOO = frozenset(
    phrases_of(
        "uniswap|sushiswap|sushi|curve|pancakeswap|pancake|jupiter|raydium|orca|balancer|gmx|"
        "thorchain|aerodrome|osmosis|serum|dydx|kyber|1inch|bancor|cronos|nexo|celsius"
    )
)
UNSUPPORTED: Mapping[str, str] = {
    phrase: instead
    for phrases, instead in (
        ("sentiment|social sentiment|twitter sentiment|mood|sentiment analysis", "tweets"),
        ("implied volatility|iv|options|option chain|options chain|greeks|gamma|options flow",
         "price"),
        (("market cap|market capitalization|marketcap|dominance|fear and greed|"
          "fear and greed index|fear & greed index|tvl|supply|circulating supply"), "price"),
        ("forecast|forecasts|prediction|predictions|predict|backtest|backtesting", "price"),
        (("trade imbalance|trades imbalance|trade flow imbalance|flow imbalance|"
          "order flow imbalance|order flow|volume imbalance|buy sell imbalance|buy/sell imbalance|"
          "cvd|cumulative volume delta|volume delta"), "buy and sell volume"),
        (("price change|price changes|percent change|percentage change|% change|pct change|"
          "24h change|daily change|hourly change|change in price|change of price"), "returns"),
        (("rsi|macd|ema|sma|bollinger|bollinger bands|stochastic|atr|indicators|indicator|"
          "all time high|all time low|all-time high|all-time low|ath|atl|52 week high|52 week low|"
          "new high|new highs|new low|new lows|higher highs|lower lows|record high|record low|"
          "52-week high|52-week low|intraday high|intraday low|session high|session low|day high|"
          "day low|high of the day|low of the day|todays high|today's high|"
          "standard deviation|stddev|correlation|percentile|dollar bars|"
          "verified|retweets|retweet|reposts|likes|quarterly|quarterly futures|dated futures|"
          "microprice|gas price|gas prices|gas fee|gas fees|mempool|hashrate|hash rate|"
          "whale|whales|whale alerts|large trades|big trades|block trades|"
          "renko|heikin ashi|z-score|long short ratio|long/short ratio|ratio"), "price"),
    )
    for phrase in phrases_of(phrases)
}  # fmt: skip
# What asks Bond to do something other than listen.
ORDERS = phrases_of(
    "buy|sell|go long|go short|place an order|place order|market order|limit order|stop loss|"
    "take profit|close my|liquidate my|withdraw|deposit|short sell|trade for me|"
    "open a position|close a position|close position|open position|my position|my positions|"
    "stop order|transfer my|cancel my|cancel all orders|cancel order|cancel orders|dca|"
    "dollar cost average|send my|close all|close everything|liquidate all|liquidate everything|"
    "exit all"
)
ORDERS_BEFORE_ASSET = phrases_of("long|short|order|stake|convert")
FOREIGN_VERBS = frozenset({"ignore", "disregard", "forget", "override", "bypass"})
FOREIGN_NOUNS = frozenset({
    "instruction", "instructions", "prompt", "prompts", "rule", "rules", "guidelines",
})  # fmt: skip
FOREIGN = phrases_of(
    "system prompt|system message|developer message|act as|you are now|pretend to be|jailbreak|"
    "print your|reveal your|api key|api keys|secret key|environment variables|write a poem|"
    "tell me a joke|your password|shell command|run command|drop table|delete from|select *"
)
