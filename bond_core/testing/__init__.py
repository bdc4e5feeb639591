"""What tests of Bond, and of plugins, are written with.

A name is imported when it is first used: what looks at a plugin from outside loads no more.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bond_core.testing.aggregator_suite import AggregatorConformance
    from bond_core.testing.cassette import Answer, Frame
    from bond_core.testing.connector_suite import ConnectorConformance
    from bond_core.testing.plugin_suite import PluginConformance
    from bond_core.testing.record import Recorder, load_cassette
    from bond_core.testing.sink_suite import SinkConformance

__all__ = [
    "AggregatorConformance",
    "Answer",
    "ConnectorConformance",
    "Frame",
    "PluginConformance",
    "Recorder",
    "SinkConformance",
    "load_cassette",
]

_MODULE_OF = {
    "AggregatorConformance": "aggregator_suite",
    "Answer": "cassette",
    "ConnectorConformance": "connector_suite",
    "Frame": "cassette",
    "PluginConformance": "plugin_suite",
    "Recorder": "record",
    "SinkConformance": "sink_suite",
    "load_cassette": "record",
}


def __getattr__(name: str) -> object:
    """Import what is asked for (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value  # asked for once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
