from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from bond_core.windows.lag import MAX_SAMPLES, join, median_ms
from bond_core.windows.pane import PanePart

MS = 1_000_000


def sampled(delays):
    """A part that counted events with these delays, as the loop does it."""
    part = PanePart(start=0, end=1, pane=None, state=None)
    for delay in delays:
        part.n += 1
        if not part.n & part.mask:
            part.lags.append(delay)
            if part.n > part.full:
                part.thin()
    return part


@given(st.integers(1, 5000))
def test_samples_are_few_and_evenly_spread(number):
    """Every 2^k-th event, all of the first 64, never more than 64."""
    part = sampled(range(1, number + 1))

    step = part.mask + 1
    assert part.lags == list(range(step, number + 1, step))
    assert min(number, MAX_SAMPLES // 2) <= len(part.lags) <= MAX_SAMPLES


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8))
def test_joined_samples_stay_few_and_weigh_alike(numbers):
    """Panes of any size: at most 64 samples, each standing for as many events."""
    step, samples = 1, []
    for number in numbers:
        part = sampled([number] * number)
        step, samples = join(step, samples, part.mask + 1, part.lags)

    assert 0 < len(samples) <= MAX_SAMPLES
    assert abs(len(samples) * step - sum(numbers)) <= step * (len(numbers) + 1)


@given(st.lists(st.integers(-(10**10), 10**11), min_size=1, max_size=64))
def test_the_median_is_in_whole_ms(delays):
    """To the nearest; a source whose clock is ahead gives less than 0."""
    assert abs(median_ms(delays) * MS - median(delays)) <= MS / 2 + 1


def test_no_delay_has_no_median():
    """Unknown, not 0."""
    assert median_ms([]) is None
