"""What tests of Bond, and of plugins, are written with."""

from bond_core.testing.conformance import (
    AggregatorConformance,
    ConnectorConformance,
    SinkConformance,
)

__all__ = ["AggregatorConformance", "ConnectorConformance", "SinkConformance"]
