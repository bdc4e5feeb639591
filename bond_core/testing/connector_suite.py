"""Checks that a connector passes: subclass this in a test file, and name the spec.

    class TestAcme(ConnectorConformance):
        spec = "acme"
        cassette = [{"quotes": [...]}, {"quotes": [...]}]

The tests are plain functions; nothing here needs a network, or an async test plugin. Each says
in its docstring which of the kit's checks it is; `docs/plugin-kit.md` lists them.
"""  # fmt: skip

from __future__ import annotations

from bond_core.testing.connector_events import ConnectorEvents
from bond_core.testing.connector_faults import ConnectorFaults
from bond_core.testing.connector_lifecycle import ConnectorLifecycle
from bond_core.testing.connector_pace import ConnectorPace
from bond_core.testing.connector_telling import ConnectorTelling


class ConnectorConformance(
    ConnectorEvents, ConnectorFaults, ConnectorPace, ConnectorLifecycle, ConnectorTelling
):
    """What holds for a connector; its attributes are those of ConnectorBase."""
