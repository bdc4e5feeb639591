"""What several journeys share."""

from __future__ import annotations

import pytest


@pytest.fixture(name="simulators")
def _simulators(monkeypatch):
    """The simulators of venues that are started, to ask what they were asked for."""
    from bond_sim.simulator import Simulator  # only for who asks for it

    made = []
    begin = Simulator.__init__

    def noted(self, **options):
        begin(self, **options)
        made.append(self)

    monkeypatch.setattr(Simulator, "__init__", noted)
    return made
