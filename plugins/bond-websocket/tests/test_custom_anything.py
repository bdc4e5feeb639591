"""Whatever a source sends or a mapping says, nothing breaks: it is heard, counted or refused."""

from __future__ import annotations

import json
import math

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.model.event import EVENT_CLASSES
from bond_core.plugin.context import Subscription
from bond_core.settings import SettingsError, structure
from bond_websocket.config import CHANNELS, CustomConfig
from bond_websocket.connector import CustomConnector
from bond_websocket.path import PathError, parse_path
from bond_websocket.simulator import CustomSimulator, Market

URL = "wss://stream.venue.example/ws"
MAPPING = {
    "confirm": ["ok", {"$.c": 1}],
    "ignore": [{"$.i": {"exists": True}}],
    "heartbeat": {
        "send": ["ping"], "answers": ["pong"],
        "replies": [{"when": {"$.ping": {"exists": True}}, "value": "$.ping", "send": ["{value}"]}],
    },
    "events": [
        {"kind": "trade", "when": {"$.e": ["t", 1, None]}, "each": "$.d[*]", "symbol": "@.s",
         "time": {"path": "@.t", "unit": "ms"}, "id": "@.id", "sequence": "@.n", "price": "@.p",
         "size": {"path": "@.q", "factor": 0.01},
         "side": {"path": "@.m", "buy": [False], "sell": [True]}},
        {"kind": "quote", "when": {"$.e": {"prefix": "q"}}, "symbol": "$.s",
         "time": {"path": "$.t", "unit": "iso"}, "bid": "$.b", "ask": "$.a[0]"},
        {"kind": "custom", "when": {"$[0]": "x"}, "time": {"path": "$[-1]", "unit": "s"},
         "values": {"v": "$[1]"}},
    ],
}  # fmt: skip
CONFIG = structure(CustomConfig, {"url": URL, "mapping": MAPPING})
NOW_NS = 1_700_000_000_000_000_000

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | (
    st.sampled_from(["BTCUSDT", "t", "q1", "x", "1e999", "-0", "2024-01-01T00:00:00Z", 1.7e12, 1])
)  # fmt: skip
keys = st.sampled_from(["e", "d", "s", "t", "id", "n", "p", "q", "m", "b", "a", "c", "i", "ping"])
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=8),
    max_leaves=20,
)
items = st.dictionaries(st.sampled_from(["s", "t", "id", "n", "p", "q", "m"]), scalars)
nearly = st.fixed_dictionaries({"e": st.sampled_from(["t", 1, None]), "d": st.lists(items)})
frames = (
    st.text()
    | st.binary()
    | (anything | nearly).map(json.dumps)
    | (anything | nearly).map(lambda value: json.dumps(value).encode())
)


class Anyone:
    """A context in which a market is wanted on every channel."""

    def __init__(self):
        self.clock = self.wanted = self
        self.refused = []
        self._wanted = frozenset(
            Subscription(channel, "" if channel == "custom" else "BTC/USDT")
            for channel in CONFIG.channels
        )

    def current(self):
        """See Subscriptions."""
        return self._wanted

    def now_ns(self):
        """See Clock."""
        return NOW_NS

    monotonic_ns = now_ns

    def reject(self, why, n=1):
        """See Context."""
        assert n > 0
        self.refused.append(why)

    def live(self, channel, symbol=None):
        """See Context."""


@settings(max_examples=600, deadline=None)
@given(st.lists(frames, max_size=6))
def test_no_message_breaks_it(frames):
    """A message gives sound events, or is refused with a reason, or can't be read: ValueError."""
    ctx, connector = Anyone(), CustomConnector(CONFIG)
    for frame in frames:
        try:
            heard = list(connector.parse(frame, ctx))
        except ValueError:
            continue
        json.dumps(connector.replies_to(frame))
        for channel, event in heard:
            assert channel == CHANNELS[event.kind]
            assert isinstance(event, EVENT_CLASSES[event.kind])
            for value in attrs.astuple(event, recurse=False):
                assert not isinstance(value, float) or math.isfinite(value)
    assert all(len(why) < 400 for why in ctx.refused)
    for channel in CONFIG.channels:
        assert len(connector.why_silent(channel) or "") < 1000


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=30) | st.text(alphabet="$@.[]*'\"\\ab0-1,:?", max_size=12))
def test_any_text_is_a_path_or_says_why_not(text):
    """A path that is read leads somewhere or nowhere; what is offered instead of another is one."""
    try:
        path = parse_path(text)
    except PathError as error:
        for meant in error.did_you_mean:
            if meant.startswith("$"):
                assert meant != text
        return
    assert path.text == text
    if path.is_single:
        path.one({"a": [1]}, [])
    list(path.each({"a": [[1], {}]}))


templates = st.recursive(
    scalars | st.sampled_from(["{name}", "{names:lower}@x", "{id}", "{symbol:upper}", "{odd}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
paths = st.sampled_from(["$.a", "$.b[0]", "@.c", "$[-1]", "$.d[*]", "$['x y']", "no", "$"])


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries({
        "subscribe": st.lists(templates, max_size=3),
        "ignore": st.lists(anything, max_size=2),
        "symbols": st.text(max_size=10) | st.just("{base}-{quote:lower}"),
        "events": st.lists(
            st.fixed_dictionaries({
                "kind": st.sampled_from(sorted(CHANNELS)),
                "when": st.dictionaries(paths, anything, max_size=2),
                "time": st.just("receive"),
            }, optional={"each": paths, "symbol": paths, "price": paths, "size": paths,
                         "bid": paths, "rate": paths, "amount": paths, "id": paths}),
            max_size=3,
        ),
    })
)  # fmt: skip
def test_any_mapping_is_refused_with_places_or_works(mapping):
    """What is refused names its places; what is taken can be asked for, and simulated."""
    refused: list[SettingsError] = []
    try:
        config = structure(CustomConfig, {"url": URL, "mapping": mapping})
    except SettingsError as error:
        refused.append(error)
    if refused:
        assert all(problem.pointer for problem in refused[0].problems)
        return
    connector = CustomConnector(config)
    messages = connector._messages(connector._mapping.subscribe, ["BTC/USDT"], is_first=True)
    for message in messages:
        json.dumps(message)
    simulator = CustomSimulator(clock=Anyone())
    for rule in config.mapping.events:
        json.dumps(simulator._message([rule], Market("1"), "BTCUSDT"))
