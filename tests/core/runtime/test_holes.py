"""What a feed knows to be missing, from the numbers it hears and what it is told."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from bond_core.model.event import Trade
from bond_core.runtime.holes import MOST, Holes


def trade(number: int) -> Trade:
    """Return a trade of a number; a number a millisecond."""
    return Trade(symbol="BTC/USDT", ts=number * 1_000_000, price=1.0, size=1.0, id=str(number),
                 seq=number)  # fmt: skip


def holes(*, by_one=True):
    """Return the holes of a fresh feed, and a list that grows when they are stirred."""
    stirred = []
    return Holes(by_one=by_one, began_ns=0, stirred=lambda: stirred.append(1)), stirred


def left(its):
    """Return how many are missing, as the places say."""
    return sum(missing.left for missing in its.found)


@given(
    lost=st.sets(st.integers(2, 400)),
    disorder=st.integers(1, 30),
    seed=st.integers(0, 99),
    batch=st.sampled_from([1, 3, 50]),
)
def test_as_many_are_missing_as_were_lost(lost, disorder, seed, batch):
    """However out of order the others come, and in whatever batches; filling leaves nothing."""
    draw = random.Random(seed)
    numbers = [n for n in range(2, 401) if n not in lost]
    numbers.sort(key=lambda n: n + draw.uniform(0, disorder))
    events = [trade(1), *map(trade, numbers), trade(500)]
    its, _ = holes()

    for start in range(0, len(events), batch):
        its.heard(events[start : start + batch])

    lost = lost | set(range(401, 500))
    assert left(its) == len(lost)
    assert len(its.found) <= MOST
    fetched = sorted(n for n in lost if draw.random() < 0.8)
    assert its.filled(tuple(its.found), [trade(n) for n in fetched]) == len(lost) - len(fetched)
    assert its.found == []
    its.heard([trade(501)])
    assert its.found == []


def test_more_places_than_are_kept_apart_are_taken_together():
    """The count stays right, and so does the room."""
    its, _ = holes()
    its.heard([trade(n) for n in range(1, 4 * MOST, 2)])

    assert len(its.found) == MOST
    assert left(its) == 2 * MOST - 1
    assert its.found[-1].until.seq == 4 * MOST - 1


def test_a_count_that_begins_anew_is_no_hole():
    """A number far behind the newest is the first of another count; the next follows it."""
    its, stirred = holes()
    its.heard([trade(5_000_000), trade(5_000_001), trade(1), trade(2), trade(4)])

    assert [(m.after.seq, m.until.seq) for m in its.found] == [(2, 4)]
    assert stirred == [1]


def test_a_source_may_speak_of_an_earlier_time():
    """Then it is that time that is asked for; of now, what follows the last event heard."""
    its, _ = holes(by_one=False)
    its.heard([trade(10), trade(20), trade(30)])

    assert its.gap(10_000_000, 20_000_000)
    assert its.gap(31_000_000, 31_000_000)
    its.heard([trade(40)])

    earlier, later = its.found
    assert (earlier.after.ts_ns, earlier.until.ts_ns) == (10_000_000, 20_000_000)
    assert (later.after.id, later.until.id) == ("30", "40")
    assert earlier.left is None


def test_a_feed_that_was_lost_misses_what_is_between_its_last_and_its_next_event():
    """Also where the next one came before anybody said that it is live again."""
    for by_one in (True, False):
        its, _ = holes(by_one=by_one)
        its.heard([trade(10)])
        its.lost()
        its.lost()
        its.heard([trade(14), trade(15)])
        assert its.gap(11_000_000, 16_000_000)

        (missing,) = its.found
        assert (missing.after.id, missing.until.id) == ("10", "14")
        assert (missing.from_ns, missing.to_ns) == (10_000_000, 16_000_000)


def test_the_next_number_proves_that_nothing_was_missed():
    """Then there is no gap to tell, and none to settle."""
    its, stirred = holes()
    its.heard([trade(10)])
    its.lost()
    its.heard([trade(11)])

    assert not its.gap(11_000_000, 16_000_000)
    assert (its.found, stirred) == ([], [])


def test_what_is_given_up_is_not_found_again():
    """After a hole without an end was given up, the next event begins a new count."""
    its, _ = holes()
    its.heard([trade(10)])
    its.lost()
    assert its.gap(11_000_000, 16_000_000)
    its.give_up(tuple(its.found))
    its.heard([trade(99), trade(100)])

    assert its.found == []
