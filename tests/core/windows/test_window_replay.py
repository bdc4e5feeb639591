"""The same events and the same ticks give the same bytes, whenever they are played."""

import json

import attrs
from hypothesis import given
from hypothesis import strategies as st

from tests.core.windows.streams import SECOND, T, ns
from tests.core.windows.test_window_properties import a_stream, events

TICK_NS = SECOND // 20


def played(heard, seconds):
    """Events by when they were heard, with ticks on a fixed grid between; the records as bytes."""
    stream = a_stream("binance", "okx", seconds=seconds)
    tick_ns = T
    for one in heard:
        while tick_ns <= one.at_ns:
            stream.engine.on_tick(tick_ns)
            tick_ns += TICK_NS
        stream.hear(attrs.evolve(one.trade), source=one.source)
    stream.finish((max(tick_ns, ns(25)) - T) / SECOND)
    return [json.dumps(attrs.asdict(r), sort_keys=True, default=list).encode() for r in stream.seen]


@given(events(delay=2.0, sources=("binance", "okx")), st.sampled_from([(1,), (1, 5), (3, 9)]))
def test_p7_a_replay_is_byte_identical(heard, seconds):
    """Nothing but the input decides: no clock, no hash order, no state left over."""
    assert played(heard, seconds) == played(heard, seconds)
