"""Find the installed plugins, and load them so that none can hurt another.

Finding reads package metadata only: no plugin is imported. Loading goes plugin by plugin; one
that raises, misnames a hook, lacks its SDK or calls `sys.exit` becomes a row with a reason.
"""

from __future__ import annotations

import inspect
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from importlib import metadata
from types import ModuleType
from typing import Any, Literal

import attrs
import pluggy

from bond_core.errors import PluginError
from bond_core.plugin.egress import is_host_pattern
from bond_core.plugin.hookspecs import (
    GROUP,
    AggregatorHooks,
    ApiInfo,
    ConnectorHooks,
    SinkHooks,
)
from bond_core.plugin.specs import AggregatorSpec, Channel, ConnectorSpec, SinkSpec, Spec
from bond_core.settings import json_schema

State = Literal["found", "loaded", "failed", "conflict", "disabled"]

_BUILTIN = "builtin"
_BUILTIN_MODULE = "bond_core.aggregators.plugin"

# What a record says of itself; a field of that name would hide it.
_RESERVED = frozenset({
    "id", "stream_id", "symbol", "timeframe", "rev", "partial", "ts", "window_start", "window_end",
    "size_unit", "skipped", "sources", "notices", "raw_data",
})  # fmt: skip

_HOOKS: tuple[tuple[str, type[Spec]], ...] = (
    ("bond_connectors", ConnectorSpec),
    ("bond_aggregators", AggregatorSpec),
    ("bond_sinks", SinkSpec),
)


@attrs.frozen(kw_only=True)
class PluginRow:
    """One plugin and how it fares.

    Attributes:
        name: Its entry point's name.
        distribution: The package it came with.
        version: That package's version.
        module: What the entry point names.
        state: `found` (not loaded), `loaded`, `failed`, `conflict` or `disabled`.
        reason: Why it isn't loaded, for people.
        specs: What it registered.
    """

    name: str
    distribution: str
    version: str
    module: str
    state: State = "found"
    reason: str | None = None
    specs: tuple[Spec, ...] = ()


@attrs.frozen
class _Found:
    row: PluginRow
    load: Callable[[], Any]


def find_plugins() -> list[PluginRow]:
    """Return the plugins that are installed, by name. Imports none of them."""
    return [found.row for found in _find()]


def load_plugins(*, only: Collection[str] | None = None, strict: bool = False) -> list[PluginRow]:
    """Load the installed plugins and return a row for each.

    Args:
        only: Names of those to load; the rest are `disabled`. `builtin` always loads. None: all.
        strict: Raise for the first that fails instead of going on without it.

    Raises:
        PluginError: `strict`, and a plugin failed; or `only` names one that isn't installed.
    """
    found = _find()
    if only is not None and (unknown := set(only) - {f.row.name for f in found}):
        names = ", ".join(sorted(f.row.name for f in found))
        raise PluginError(
            f"BOND_PLUGINS names {', '.join(sorted(unknown))}, which isn't installed; "
            f"installed: {names}"
        )
    rows = [_load_one(f, only) for f in found]
    broken = [row for row in rows if row.state in ("failed", "conflict")]
    if strict and broken:
        raise PluginError(f"plugin {broken[0].name} ({broken[0].distribution}): {broken[0].reason}")
    return rows


def register(module: ModuleType | object, *, name: str) -> tuple[Spec, ...]:
    """Return what one plugin module registers, checked.

    Raises:
        PluginError: It breaks the contract; the text says how.
    """
    _refuse_async_hooks(module)
    manager = pluggy.PluginManager("bond")
    for hooks in (ConnectorHooks, AggregatorHooks, SinkHooks):
        manager.add_hookspecs(hooks)
    try:
        manager.register(module, name=name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"a hook is wrong: {error}") from error
    _refuse_unmarked_hooks(module, manager)
    specs: list[Spec] = []
    for hook_name, spec_type in _HOOKS:
        # A hook may be a generator: its body runs only here, while we still watch.
        for answer in getattr(manager.hook, hook_name)(api=ApiInfo()):
            specs += _checked(answer, spec_type, hook_name)
    return tuple(specs)


def _find() -> list[_Found]:
    points = metadata.entry_points(group=GROUP)
    claims = Counter(point.name for point in points)
    found = []
    for point in sorted(points, key=lambda p: (p.name != _BUILTIN, p.name)):
        dist = point.dist
        row = PluginRow(
            name=point.name,
            distribution=(dist and dist.name) or "?",
            version=(dist and dist.version) or "?",
            module=point.value,
        )
        if point.name == _BUILTIN and point.value != _BUILTIN_MODULE:
            reason = f"the name {_BUILTIN!r} is Bond's own"
            row = attrs.evolve(row, state="conflict", reason=reason)
        elif claims[point.name] > 1 and point.name != _BUILTIN:
            reason = f"{claims[point.name]} installed packages claim the name {point.name!r}"
            row = attrs.evolve(row, state="conflict", reason=reason)
        found.append(_Found(row, point.load))
    return found


def _load_one(found: _Found, only: Collection[str] | None) -> PluginRow:
    row = found.row
    if row.state == "conflict":
        return row
    if only is not None and row.name not in only and row.name != _BUILTIN:
        return attrs.evolve(row, state="disabled", reason="left out by BOND_PLUGINS")
    try:
        specs = register(found.load(), name=row.name)
    except KeyboardInterrupt:
        raise
    except PluginError as error:
        return attrs.evolve(row, state="failed", reason=error.detail)
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- whatever a plugin does at import
        return attrs.evolve(row, state="failed", reason=_explain(error))
    return attrs.evolve(row, state="loaded", specs=specs)


def _explain(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    at = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r}) while loading{at}"
    return f"{type(error).__name__}: {error}{at}"


def _refuse_async_hooks(module: object) -> None:
    for hook_name, _ in _HOOKS:
        hook = getattr(module, hook_name, None)
        if inspect.iscoroutinefunction(hook) or inspect.isasyncgenfunction(hook):
            raise PluginError(f"{hook_name} is async; hooks are plain functions")


def _refuse_unmarked_hooks(module: object, manager: pluggy.PluginManager) -> None:
    for hook_name, _ in _HOOKS:
        is_marked = bool(getattr(manager.hook, hook_name).get_hookimpls())
        if callable(getattr(module, hook_name, None)) and not is_marked:
            raise PluginError(f"{hook_name} isn't marked with @hookimpl, so nobody would call it")


def _checked(answer: Iterable[object], spec_type: type[Spec], hook_name: str) -> list[Spec]:
    if isinstance(answer, spec_type):
        raise PluginError(f"{hook_name} must yield its specs, not return one")
    specs: list[Spec] = []
    for spec in answer:
        if not isinstance(spec, spec_type):
            raise PluginError(
                f"{hook_name} must yield {spec_type.__name__}, was {type(spec).__name__}"
            )
        fault = _fault_of(spec)
        if fault is not None:
            raise PluginError(f"{spec.name}: {fault}")
        specs.append(spec)
    return specs


def _fault_of(spec: Spec) -> str | None:
    """Return how a spec breaks the contract, or None if it keeps it."""
    module, colon, attribute = spec.factory.partition(":")
    if not (colon and attribute.isidentifier() and module):
        return f"factory must read `package.module:Class`, was {spec.factory!r}"
    if not attrs.has(spec.config):
        return "config must be an attrs class"
    try:
        json_schema(spec.config)
    except TypeError as error:
        return str(error)
    if isinstance(spec, ConnectorSpec):
        if not spec.channels:
            return "a connector has at least one channel"
        if wrong := [c for c in spec.channels if not isinstance(c, Channel)]:
            return f"channels must be Channel, was {type(wrong[0]).__name__}"
        if len({c.name for c in spec.channels}) < len(spec.channels):
            return "two of its channels have one name"
        if odd := [host for host in spec.hosts if not is_host_pattern(host)]:
            return f"hosts are written `api.acme.example` or `*.acme.example`, was {odd[0]!r}"
    fields = () if isinstance(spec, SinkSpec) else spec.fields
    if taken := sorted(_RESERVED.intersection(fields)):
        return f"the field {taken[0]!r} is the record's own; put a name of your own before it"
    return None
