"""Start the simulators that connectors name, once each, when first asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Self

from bond_core.clock import Clock
from bond_core.errors import NotInstalledError, PluginError
from bond_core.plugin.factories import load_class
from bond_core.plugin.specs import ConnectorSpec


class Simulators:
    """Loopback servers that speak a vendor's protocol. Use as an async context manager.

    Args:
        clock: Handed to each; a recording player may move it.
        seed: What a synthetic market grows from.
        options: By the simulator's `package.module:Class`, what to hand it.
    """

    def __init__(
        self, *, clock: Clock, seed: int = 1,
        options: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._seed = seed
        self._options = options or {}
        self._starts: dict[str, asyncio.Task[Any]] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start nothing yet."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop them all."""
        await asyncio.gather(*self._starts.values(), return_exceptions=True)
        await self._stack.aclose()

    async def running(self, spec: ConnectorSpec) -> Any:
        """Return the connector's simulator, serving; its `url` is what the connector gets.

        Raises:
            NotInstalledError: The connector names none, or the one it names isn't installed.
        """
        if spec.simulator is None:
            raise NotInstalledError(f"{spec.name} has no simulator: it can't be simulated")
        start = self._starts.get(spec.simulator)
        if start is None or (start.done() and start.exception() is not None):
            start = asyncio.create_task(self._start(spec.name, spec.simulator))
            self._starts[spec.simulator] = start
        # Whoever asks may be cancelled meanwhile; a server half started, nobody could close.
        return await asyncio.shield(start)

    async def _start(self, name: str, factory: str) -> Any:
        try:
            make = load_class(factory)
        except PluginError as error:
            package = factory.split(".", maxsplit=1)[0].replace("_", "-")
            raise NotInstalledError(
                f"simulating {name} needs {package}, which isn't installed: {error}"
            ) from error
        options = self._options.get(factory, {})
        simulator = make(clock=self._clock, seed=self._seed, options=options)
        return await self._stack.enter_async_context(simulator)
