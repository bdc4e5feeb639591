"""Run a connector so that whatever it does ends only the connector, and find out why it ended."""

from __future__ import annotations

from bond_core.errors import Fatal, PluginError, Retryable
from bond_core.plugin.connector import Connector
from bond_core.plugin.context import Context


async def contained(connector: Connector, ctx: Context) -> None:
    """Run a connector; what would end the whole process ends only the connector."""
    try:
        await connector.run(ctx)
    except SystemExit as error:
        raise RuntimeError(f"it called sys.exit({error.code!r})") from error


def cause_of(error: BaseException) -> BaseException:
    """Return what decides over a failure: of several at once a bug, else what is fatal."""
    leaves = _leaves(error)
    expected = (Fatal, PluginError, Retryable, OSError, TimeoutError)
    bugs = [leaf for leaf in leaves if not isinstance(leaf, expected)]
    fatal = [leaf for leaf in leaves if isinstance(leaf, (Fatal, PluginError))]
    asked = sorted(leaves, key=lambda leaf: -(getattr(leaf, "retry_after_s", None) or 0.0))
    return (*bugs, *fatal, *asked)[0]


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
