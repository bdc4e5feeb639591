import attrs
import pytest

from bond_core.windows.watermark import NEVER, SourceWatermark, stream_watermark


@attrs.frozen
class Source:
    watermark: SourceWatermark


def a_watermark(at_ns=0, *, gates=True, lateness_ns=5, idle_ns=15):
    """A watermark that begins at 0."""
    return SourceWatermark(lateness_ns=lateness_ns, idle_ns=idle_ns, gates=gates, at_ns=at_ns)


def test_it_follows_the_newest_event_and_never_goes_back():
    """An older event leaves it where it is."""
    watermark = a_watermark()
    watermark.saw_event(100)
    watermark.saw_event(50)

    assert watermark.at_ns == 95


@pytest.mark.parametrize(("now", "at"), [(100, 95), (115, 95), (116, 96)])
def test_the_clock_overtakes_a_silent_source(now, at):
    """Once lateness and idle time are over, time alone moves it."""
    watermark = a_watermark()
    watermark.saw_event(100)
    watermark.saw_tick(now)

    assert watermark.at_ns == at


def test_a_heartbeat_is_taken_at_its_word():
    """Nothing older will come: no lateness is added."""
    watermark = a_watermark()
    watermark.saw_heartbeat(80)

    assert watermark.at_ns == 80


@pytest.mark.parametrize(
    ("at_ns", "gates", "fires_at"),
    [(0, True, 105), (99, True, 105), (100, True, NEVER), (0, False, NEVER)],
    ids=["behind", "just behind", "passed", "doesn't gate"],
)
def test_an_event_may_close_a_window_only_where_its_source_holds_it_back(at_ns, gates, fires_at):
    """A source that passed the end, or isn't waited for, can't close it."""
    assert a_watermark(at_ns, gates=gates).fires_at(100) == fires_at


def test_the_slowest_gating_source_is_where_the_stream_is():
    """One that doesn't gate holds nothing back."""
    sources = [Source(a_watermark(at, gates=at != 1)) for at in (1, 7, 9)]

    assert stream_watermark(sources, now_ns=100) == 7


def test_without_gating_sources_the_clock_is():
    """Less the largest lateness; with no source at all, the clock itself."""
    sources = [Source(a_watermark(gates=False, lateness_ns=each)) for each in (3, 8)]

    assert stream_watermark(sources, now_ns=100) == 92
    assert stream_watermark([], now_ns=100) == 100
