"""What a plugin's part of the server, or its command, may use of Bond."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs

from bond_core.clock import Clock
from bond_core.errors import NotInstalledError
from bond_core.model.event import Event
from bond_core.model.record import Notice, Repaired, Status
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.serving import Ear
from bond_core.plugin.specs import ConnectorSpec
from bond_core.runtime.feeds import Feeds, Origin
from bond_core.settings import from_environment, structure


@attrs.frozen(kw_only=True, eq=False)
class PartHost:
    """See bond_core.plugin.serving.Host.

    Attributes:
        catalog: What is installed.
        feeds: Where everybody who listens in this process shares what is heard.
        environ: Fills the settings of sources.
    """

    clock: Clock
    log: logging.Logger
    config: Any
    is_simulated: bool
    catalog: Catalog
    feeds: Feeds
    environ: Mapping[str, str] = attrs.field(repr=False)

    @asynccontextmanager
    async def hearing(
        self, source: str, channel: str, symbol: str, ear: Ear
    ) -> AsyncGenerator[Subscribed]:
        """See Host."""
        connector = self.catalog.connector(source)
        if connector is None:
            raise NotInstalledError(f"no installed plugin provides the source {source!r}")
        origin = self._origin(connector)
        listener = _Listener(ear)
        feed = await self.feeds.subscribe(origin, channel, symbol, listener)
        try:
            yield Subscribed(self.feeds, origin)
        finally:
            self.feeds.unsubscribe(origin, feed, listener)

    def _origin(self, connector: ConnectorSpec) -> Origin:
        """Return the origin that a stream with nothing but this source has, to share it."""
        filled = from_environment(connector.config, self.environ, simulated=self.is_simulated)
        config: Any = structure(connector.config, filled)
        return Origin(
            spec=connector, config=config, name=connector.name, simulated=self.is_simulated
        )


@attrs.frozen
class Subscribed:
    """See bond_core.plugin.serving.Heard."""

    _feeds: Feeds
    _origin: Origin

    @property
    def failures(self) -> int:
        """See Heard."""
        return self._feeds.failures(self._origin)


@attrs.frozen(eq=False)
class _Listener:
    """A feed's listener that tells an Ear."""

    _ear: Ear

    def on_events(self, symbol: str, events: Sequence[Event]) -> None:
        self._ear.on_events(events)

    def on_status(self, symbol: str, status: Status, at_ns: int, reason: str | None) -> None:
        self._ear.on_status(status, reason)

    def on_heartbeat(self, ts: int) -> None:
        """Windows wait for it; ears don't."""

    def on_duplicates(self, symbol: str, n: int) -> None:
        self._ear.on_notice("duplicates", f"{n} were heard before, and left out")

    def on_rejected(self, symbol: str, n: int, why: str) -> None:
        self._ear.on_notice("rejected", f"{n} left out: {why}")

    def on_clamped(self, symbol: str, n: int) -> None:
        self._ear.on_notice("clamped", f"{n} lay in the future, and have the time of hearing")

    def on_gap(self, symbol: str, notice: Notice) -> None:
        self._ear.on_notice(notice.code, notice.detail or "")

    def on_notice(self, symbol: str, notice: Notice) -> None:
        self._ear.on_notice(notice.code, notice.detail or "")

    def on_repaired(self, symbol: str, events: Sequence[Event], repaired: Repaired) -> None:
        self._ear.on_events(events)
