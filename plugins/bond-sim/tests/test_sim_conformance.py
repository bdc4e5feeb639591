"""The conformance kit, as far as it goes for a plugin that registers nothing."""

from __future__ import annotations

from bond_core.testing import PluginConformance


class TestSim(PluginConformance):
    """A connector names the simulator; what is loaded with the server is only that it is there."""

    plugin = "sim"
