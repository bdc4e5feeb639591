"""A quiet contract's raw ticks say nothing about the connection."""

from __future__ import annotations

import random

import pytest

from bond_core.clock import ManualClock
from bond_core.runtime.supervisor import Supervisor
from bond_ibkr.config import IbkrConfig
from bond_ibkr.plugin import RAW, bond_connectors


@pytest.mark.parametrize("channel", [channel.name for channel in RAW])
def test_silence_of_raw_ticks_is_not_stale(channel):
    """However long a contract is quiet, the connection that others share is not given up."""
    (spec,) = bond_connectors()
    supervisor = Supervisor(
        spec, IbkrConfig(), name="ibkr", clock=ManualClock(0), chance=random.Random(1),
        simulated_at=None,
    )  # fmt: skip
    feed = supervisor.feed(channel, "265598")
    assert feed.stale_after_s(spec.channel(channel).stale_s) is None
