"""The closed words of the grammar: what they are, in all their spellings.

`KEYS` are words that rules look for. A key that no rule took is filler where it stands in
`SOFT`; otherwise it is reported as not understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from bond_server.language.phrases import phrases_of
from bond_server.language.refused_words import TELLING

_DOWN = (
    "drop drops dropped dump dumps crash crashes fall falls dip dips sink sinks slip slips "
    "slide slides plunge plunges"
)
_UP = "rise rises climb climbs jump jumps spike spikes surge surges rally rallies"
_ABOUT = "moves move changes change swings swing fluctuates"
_THROUGH = ("through", "thru")
_EITHER = "go goes cross crosses break breaks move moves get gets trade trades"


# Crossings without a direction: taken to be from below.
UNDIRECTED = (
    "hits",
    "hit",
    "reaches",
    "reach",
    "touches",
    "crosses",
    "cross",
    "passes",
    "pass",
    "breaks",
    "break",
)


def _crossings() -> dict[str, tuple[str, ...]]:
    down = (
        *product((_DOWN + " " + _EITHER).split(), ("below", "under", "beneath")),
        *product(_DOWN.split(), _THROUGH),
    )
    up = (
        *product((_UP + " " + _EITHER).split(), ("above",)),
        *product((_UP + " go goes cross crosses break breaks").split(), ("over", "past")),
        *product((_UP + " breaks break").split(), _THROUGH),
    )
    return {
        "crosses_below": tuple(" ".join(pair) for pair in down),
        "crosses_above": (*(" ".join(pair) for pair in up), *UNDIRECTED),
    }


_TURNS = ("turns", "turn", "goes", "go", "becomes", "become", "flips", "flip", "gets", "get")
# Comparisons with zero: `turns negative`.
OF_ZERO: Mapping[str, tuple[str, ...]] = {
    "crosses_below": tuple(f"{verb} negative" for verb in _TURNS),
    "crosses_above": tuple(f"{verb} positive" for verb in _TURNS),
    "<": ("is negative", "are negative", "stays negative"),
    ">": ("is positive", "are positive", "stays positive"),
}

_PLACES = {">": ("above", "over"), "<": ("below", "under", "beneath")}


def _placed(*verbs: str) -> dict[str, str]:
    """Return `stays above` and the like with what they compare."""
    return {f"{verb} {place}": op for op, at in _PLACES.items() for verb in verbs for place in at}


# Comparisons of the last price of a window: `closes below`.
OF_CLOSE: Mapping[str, str] = {
    phrase: op
    for phrase, op in _placed("close", "closes", "closing", "closed", "closed back").items()
    if phrase != "close over"  # `the close over the last minute`
}
_STAYS = _placed("stays", "stay", "remains", "remain", "sits", "sit", "is still", "keeps")

COMPARISONS: Mapping[str, str] = {**OF_CLOSE, **_STAYS} | {
    phrase: op
    for op, phrases in {
        ">": "above|greater than|more than|higher than|bigger than|larger than|exceeds|exceed|"
             "exceeding|tops|topping|in excess of|wider than|>|is over|are over|is above|are above|"
             "gets above|stays above|goes above",
        "<": "below|under|less than|lower than|fewer than|smaller than|beneath|narrower than|"
             "tighter than|<|is under|are under|is below|are below|stays below",
        ">=": "at least|no less than|not less than|>=|not below",
        "<=": "at most|no more than|not more than|<=|not above",
        "==": "equals|equal to|equal|==|=|exactly",
    }.items()
    for phrase in phrases_of(phrases)
} | {
    phrase: op
    for phrases in (_crossings(), OF_ZERO)
    for op, said in phrases.items()
    for phrase in said
}  # fmt: skip

KEYS: Mapping[str, tuple[str, ...]] = {
    key: phrases_of(phrases)
    for key, phrases in {
        "every": "every|each|per|every single|once every|once per|once each|once a|one per|"
                 "one every|at every|updated every|refreshed every|sampled every",
        "other": "other",
        "times": "times|x",
        "once": "once",
        "twice": "twice",
        "thrice": "thrice|three times",
        "hertz": "hz|hertz",
        "cadence": "interval|intervals|update|updates|refresh|resolution|frequency|cadence|"
                   "window|windows|granularity|timeframe|timeframes|time frame|tf|"
                   "sampling|snapshots|increments|buckets|steps|rate",
        "for": "for|during|stop after|and stop after|lasting|ending after|ends after|end after|"
               "finish after|quit after|duration|duration of|with a duration of|time limit",
        "next": "next|coming|following",
        "last": "last|past|previous|trailing|preceding",
        "over": "over|within|in",
        "rolling": "rolling|moving|sliding|running|rolling window",
        "replay": "replay|replayed|replaying|replay from|backfill|rewind|play back|"
                  "catch up on|catch up",
        "ago": "ago",
        "since": "since|starting|beginning|starting from|beginning from|start from",
        "past": "historical|historic|history|yesterday|last night|this morning|recording|"
                "recordings|recorded|prerecorded",
        "only": "only|but only|just|and only|nothing else|and nothing else|but nothing else|"
                "nothing more|and nothing more",
        "when": "when|if|where|whenever|while|only when|only if|only where|only while|"
                "but only when|but only if|but only where|as soon as|filtered by|"
                "filter|as long as|provided",
        "alert": "alert|alerts|alert me|alert me when|alert me if|alert when|alert if|notify|"
                 "notify me|notify me when|notify me if|notify when|notify if|warn|warn me|"
                 "warn me when|warn me if|tell me when|tell me if|ping|ping when|ping if|ping me|"
                 "ping me when|"
                 "ping me if|alarm|alarm me|alarm when|alarm if|wake me|wake me up|beep|buzz me|"
                 "let me know when|let me know if|message me when|message me if",
        "at_most": "at most",
        "without": "without|no|not|excluding|exclude|except|except for|minus|but not|other than|"
                   "but never|never on|never from|besides|aside from|save for|barring|instead of|"
                   "rather than|apart from|ignoring|omit|omitting|skip|skipping|leave out|and no|"
                   "and not|"
                   "with no|but no|not from|not on|nothing from|don't include|do not include|"
                   "don't show|don't send|don't give me|don't give|don't want|i don't want|"
                   "don't need|i don't need|do not show|do not send|do not want|not including|"
                   "not counting|no need for|not interested in|without any|leaving out|"
                   "and without|but without|don't add|do not add|never include|never show",
        "fallback": "fallback|fallbacks|as fallback|as a fallback|as the fallback|as backup|"
                    "as a backup|backup|fall back to|falling back to|fall back on|"
                    "with fallback to|failover to|fail over to|as failover|as a failover",
        "but": "but",
        "all": "all|any|every exchange|each exchange|anywhere|everywhere",
        "exchanges": "exchange|exchanges|venue|venues",
        "from": "from|on|at|via|using|through|off",
        "by": "by",
        "in": "in",
        "against": "against|relative to|in terms of|vs|versus|to|quoted in|priced in|"
                   "denominated in",
        "about": "about|regarding|concerning|mentioning|around|related to|on the topic of",
        "containing": "tagged|tagged with|hashtag|with the hashtag|containing|"
                      "contains|contain|matching|with the words|with the phrase|"
                      "that contain|that say|that mention|saying|which contain|including the words",
        "accounts": "account|accounts|user|users|handle|handles",
        "top": "top|first|best",
        "levels": "level|levels|depth|deep|rows|price levels",
        "tick": "tick|ticks",
        "raw": "tick by tick|unfiltered|raw|raw trades|every tick|every trade|each trade|"
               "each tick|raw ticks|"
               "every single trade|every single tick|unaggregated|trade by trade|tick data|"
               "all ticks|individual trades|tick level|tick stream|as they happen|as they come|"
               "as it happens|as it comes",
        "spread": "spread|spreads|bid ask spread|bid/ask spread",
        "cross_spread": "arbitrage|price difference|price gap|gap|difference|premium|compare|"
                        "compared|comparing|comparison",
        "between": "between|across",
        "spot": "spot|spot market",
        "or": "or|nor",
        "unless": "unless|until|till|hide|hiding|discard|discarding|suppress|suppressing|mute|"
                  "filter out|filtering out|throw away|throw out",
        "cooldown": "|".join((
            "cooldown|cooldown of|with a cooldown of|with cooldown",
            *(f"{most} once {per}" for most in ("max", "maximum", "no more than", "not more than")
              for per in ("per", "every", "a", "an", "each")),
        )),
        "sink": "webhook|webhooks|csv|json|parquet|excel|spreadsheet|google sheets|kafka|nats|"
                "slack|database|postgres",
        "inverse": "inverse|coin margined|coin-m|coin m",
        "both": "both|both of them|all of them",
        "per_symbol": "per symbol|per coin|per asset|each symbol",
    }.items()
}  # fmt: skip

# Words of more than one use, and those that only lead to others: harmless when left over.
SOFT = frozenset({
    "every", "cadence", "for", "next", "last", "over", "in", "only", "but", "all", "exchanges",
    "from", "by", "against", "about", "accounts",
    "between", "spot", "or", "both", "per_symbol",
})  # fmt: skip


# Right as they are, though near to a word of ours.
NO_MISSPELLINGS = (
    frozenset(
        phrases_of(
            "whale|whales|flows|inflows|outflows|wick|wicks|leverage|liquidity|prize|prizes|listing|"
            "trader|traders|locks|black|clock|bread|line|lines|customer|customers|relay|reply|white|"
            "retweets|retweet|reposts|whole|were|warm|finding|founding|transform|lever|side|sides|"
            "dropping|falling|rising|moving|hitting|crossing|text|must|says|used|part|test|word|late|later|call|calls|files|task|tasks|lost|main|"
            "round|slow|fast|faster|stale|scale|date|means|ears|ours|yours|host|hosts|hook|hold|fold|"
            "hint|draw|lock|computed|different|filler|logs|took|cost|costs|ticket|tickets|feature|"
            "features|bind|abort|timer|ring|kill|kills|ways|provide|provides|apply|lies|fits|deadline|"
            "searched|ordinary|cast|grows|beat|wall|wins|standing|race|wide|wider|translation|quite|"
            "cover|chat|chats|clone|speak|jitter|stopping|bias|ordinal|pick|picks|lack|trick|norm|"
            "ground|saving|closest|closer|nice|quota|miss|coding|east|west|north|star|stars|ball|"
            "injection|rotation|fate|training|paste|sick|balance|balances|balanced|bother|tens|"
            "fifties|rare|rarely|staying|sale|sales|transition|solution|tricks|inter|lean|rust|ship|"
            "hover|frequent|prime|repeating|cats|forth|stating|boring|mild|kids|glow|toss|ride|leak|"
            "leaks|tour|hate|dark|light|excerpts|fetch|catch|watch|execution|integral|torn|iron|"
            "slowest|fastest|biggest|deployment|compiled|whatever|wherever|others|been|seek|read|send|"
            "meant|trace|tilt|notation|handle|passed|reached|touched|inverted|reverse|internal|"
            "synthetic|coverage|stack|excluded|replaced|moved|staked|stake|stakes|minor|miner|miners|"
            "short|shorts|longs|sort|sorts|store|stores|story|score|scores|shape|share|shares|shift"
        )
    )
    | TELLING
)

SWAP = phrases_of(
    "perp|perps|perpetual|perpetuals|swap|swaps|perpetual swap|perpetual swaps|future|futures|"
    "perpetual futures|perpetual future"
)
BARS = phrases_of(
    "candle|candles|candlestick|candlesticks|bar|bars|ohlc|ohlcv|klines|kline|ohlc bars|"
    "ohlcv bars|ohlcv candles|ohlc candles|ohlcv data"
)
# A picture of bars: what it is made of is streamed.
CHARTS = phrases_of(
    "chart|charts|graph|candle chart|candles chart|candlestick chart|candlesticks chart|"
    "bar chart|bars chart|ohlc chart|ohlcv chart|chart candles|charts candles|price chart|"
    "chart data"
)
AGGREGATES: Mapping[str, str] = {
    word: name
    for name, words in {
        "avg": "average|avg|mean|averaged|moving average",
        "max": "max|maximum|highest|high|peak|highs",
        "min": "min|minimum|lowest|low|lows",
        "sum": "sum|total|cumulative",
    }.items()
    for word in phrases_of(words)
}
_TWICE = 100.0
# Changes that say by how many percent.
MULTIPLES: Mapping[str, float] = {
    word: percent
    for words, percent in (
        ("doubles|double|doubled|has doubled", 100.0),
        ("triples|triple|tripled|has tripled", 200.0),
        ("halves|halve|halved|has halved", 50.0),
    )
    for word in phrases_of(words)
}
CHANGES: Mapping[str, str] = {
    word: op
    for op, words in {
        "abs>": "|".join(f"{verb}{rest}" for verb in _ABOUT.split()
                         for rest in ("", " by", " more than", " by more than", " by at least")),
        "<": "|".join(f"{verb}{rest}" for verb in (_DOWN + " loses lose").split()
                      for rest in ("", " by", " more than", " by more than", " by at least")),
        ">": "|".join(f"{verb}{rest}" for verb in (_UP + " gains gain pumps pump").split()
                      for rest in ("", " by", " more than", " by more than", " by at least")),
    }.items()
    for word in phrases_of(words)
} | {
    f"{verb} {way}{rest}": op
    for op, way in ((">", "up"), ("<", "down"))
    for verb in ("is", "are", "goes", "go")
    for rest in ("", " by", " more than", " by more than", " at least")
} | {
    word: "<" if percent < _TWICE else ">" for word, percent in MULTIPLES.items()
}  # fmt: skip
CURRENCIES: Mapping[str, str] = {
    word: code
    for code, words in {
        "USD": "usd|dollar|dollars|us dollars|us dollar|bucks",
        "USDT": "usdt|tether",
        "EUR": "eur|euro|euros",
        "GBP": "gbp|pound|pounds|sterling",
        "JPY": "jpy|yen",
        "KRW": "krw|won",
        "BRL": "brl|reais",
        "TRY": "turkish lira|lira",
        "AUD": "aud|australian dollars",
    }.items()
    for word in phrases_of(words)
}
JOINS = phrases_of(
    "and|n|&|plus|with|+|,|as well as|along with|together with|alongside|&&|also|/|-"
)
FILLER = phrases_of(
    "a|an|the|of|please|pleas|plese|plase|pls|plz|can|could|would|will|shall|may|i|we|you|me|"
    "my|us|our|your|want|wants|need|needs|like|i'd like|i'd|i'm|id|give|gimme|show|get|fetch|"
    "stream|streams|listen|watch|monitor|track|follow|display|print|send|start|create|make|"
    "build|set up|live|real time|real-time|realtime|latest|current|currently|right now|now|"
    "data|feed|feeds|updated|fresh|hey|hi|hello|dear|yo|thanks|thank you|thx|ty|cheers|kindly|"
    "is|are|be|being|was|it|its|it's|this|that|that's|these|those|them|they|how many|how much|"
    "how often|how|people|users are|number|count|counts|then|so|too|some|also|let's|lets|"
    "what|what's|whats|which|who|do|does|did|go|coin|coins|token|tokens|crypto|cryptos|"
    "cryptocurrency|cryptocurrencies|market|pair|pairs|symbol|symbols|stock|stocks|share|"
    "shares|equity|equities|etf|etfs|ticker symbol|out|up|mentions|mention|comments|talk|talking|"
    "saying|posting|one|event|events|message|messages|record|records|simultaneously|combined|"
    "together|aligned|time aligned|as|bond|ekko|continuously|constantly|streaming|new|value of|"
    "rn|atm|at the moment|right away|everybody|everyone|anybody|anyone|somebody|someone|asap|"
    "go live|then go live|and go live|going live|go on live|continue live|then continue live|"
    "then live|starting now|from now on|for me|thank|much|very|any|there|here|have|has|had|"
    "at the same time|in the same record|on the same clock|okay|ok|uh|um|uhm|erm|hmm|well|terms|"
    "hows|how's|doing|going|know|see|looking for|look at|happening|activity|time|"
    "information|info|figures|numbers|stats|report|reports|reporting|dashboard|bot|"
    "subscribe to|subscribe|subscribing|keep track of|keep an eye on|keep me posted on|keep|love|"
    "i'd love|closely|side by side|a lot|favourite|favorite|"
    "tracking|watching|monitoring|showing|following along|"
    "refreshed|pull|grab|put|bring|deliver|push|pushed|"
    "delivered|to|into|either|either of them|either one|"
    "one of them|any of them|per window|per record|per bar|in the window|in a window|"
    "in each window|field|fields|continue|onwards|onward|hit me with|use|run|stay|gm|gn|"
    "ser|sir|fam|bro|"
    "mate|dude|u|wanna|a side|per side|each side|both sides|"
    "aggregated|aggregate|per event|while"
)
