"""A context to run the sink in, and records for it."""

from __future__ import annotations

import logging

import pytest

from bond_core.clock import SystemClock
from bond_core.plugin.egress import Egress
from bond_core.runtime.errand import Errand
from bond_core.runtime.sink_policy import SinkPolicy


@pytest.fixture
def context():
    """Return what makes a context: of a clock, and of what may be written to."""

    def make(*, clock=None, policy=None, stream_id="8f2a1c9d4b3e7a10"):
        return Errand(
            stream_id=stream_id, sink_name="files", clock=clock or SystemClock(),
            log=logging.getLogger("bond.sink.files"), egress=Egress(),
            policy=policy or SinkPolicy(),
        )  # fmt: skip

    return make
