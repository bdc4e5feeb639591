"""Find the installed plugins, and load them so that none can hurt another.

Finding reads package metadata only: no plugin is imported. Loading goes plugin by plugin; one
that raises, misnames a hook, lacks its SDK or calls `sys.exit` becomes a row with a reason.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import attrs
import pluggy

from bond_core.errors import PluginError
from bond_core.plugin.hookspecs import (
    GROUP,
    AggregatorHooks,
    ApiInfo,
    ConnectorHooks,
    ServerHooks,
    SinkHooks,
)
from bond_core.plugin.patience import (
    AT_LAST_S,
    PATIENCE_S,
    Attempt,
    Patience,
    TooSlowError,
    wait_together,
)
from bond_core.plugin.specs import (
    AggregatorSpec,
    CommandSpec,
    ConnectorSpec,
    ServerSpec,
    SinkSpec,
    Spec,
)

State = Literal["found", "loaded", "failed", "conflict", "disabled"]

_BUILTIN = "builtin"
_BUILTIN_MODULE = "bond_core.aggregators.plugin"

Look = Callable[[Spec], object]
"""Looks at what a plugin registered; raises PluginError where it won't do."""

_ARGUMENTS = {"api": ApiInfo()}
_MOST_SPECS = 200
"""A hook that yields more does not end."""

_HOOKS: tuple[tuple[str, type[Spec]], ...] = (
    ("bond_connectors", ConnectorSpec),
    ("bond_aggregators", AggregatorSpec),
    ("bond_sinks", SinkSpec),
    ("bond_server_parts", ServerSpec),
    ("bond_commands", CommandSpec),
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


@attrs.frozen(kw_only=True)
class Choice:
    """Which plugins are wanted here.

    Attributes:
        only: Those and no others, as BOND_PLUGINS lists them; None for all.
        without: Those not, as `bond plugins disable` keeps them; nothing where `only` is set.
    """

    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    def reason_against(self, name: str) -> str | None:
        """Return why a plugin isn't wanted, or None if it is."""
        if self.only is not None:
            return None if name in self.only else "left out by BOND_PLUGINS"
        return f"disabled: bond plugins enable {name}" if name in self.without else None


@attrs.frozen
class _Found:
    row: PluginRow
    load: Callable[[], Any]


def find_plugins() -> list[PluginRow]:
    """Return the plugins that are installed, by name. Imports none of them."""
    return [found.row for found in _find()]


def load_plugins(
    *, only: Collection[str] | None = None, strict: bool = False, look: Look | None = None
) -> list[PluginRow]:
    """Load the installed plugins and return a row for each.

    Args:
        only: Names of those to load; the rest are `disabled`. `builtin` always loads. None: all.
        strict: Raise for the first that fails instead of going on without it.
        look: See `Plugins.load`.

    Raises:
        PluginError: `strict`, and a plugin failed; or `only` names one that isn't installed.
    """
    choice = Choice(only=None if only is None else frozenset(only))
    rows = Plugins(lambda: choice).load(look)
    broken = [row for row in rows if row.state in ("failed", "conflict")]
    if strict and broken:
        raise PluginError(f"plugin {broken[0].name} ({broken[0].distribution}): {broken[0].reason}")
    return rows


class Plugins:
    """The plugins of this process: loads those that are installed, and later the new ones.

    What was loaded once stays as it was, for Python keeps its modules: where another version
    is installed meanwhile, its row says that a restart is needed.

    Args:
        choose: Says which are wanted, each time anew.
        patience_s: How long one may take to register before it is left to itself.
    """

    def __init__(
        self, choose: Callable[[], Choice] = Choice, *, patience_s: float = PATIENCE_S
    ) -> None:
        self._choose = choose
        self._patience_s = patience_s
        self._loaded: dict[str, PluginRow] = {}
        self._tried: dict[str, str] = {}
        self._slow: dict[str, Attempt[tuple[Spec, ...]]] = {}

    def load(self, look: Look | None = None) -> list[PluginRow]:
        """Return a row for each that is installed now, loading those that are not yet.

        Args:
            look: Looks at each spec of one that is loaded, where that can hold up nobody
                either: it may run the plugin's code.

        Raises:
            PluginError: The choice names one that isn't installed.
        """
        importlib.invalidate_caches()
        choice, found = self._choose(), _find()
        if choice.only is not None and (unknown := choice.only - {f.row.name for f in found}):
            names = ", ".join(sorted(f.row.name for f in found))
            raise PluginError(
                f"BOND_PLUGINS names {', '.join(sorted(unknown))}, which isn't installed; "
                f"installed: {names}"
            )
        for name in [n for n, attempt in self._slow.items() if attempt.is_over_with_error]:
            del self._slow[name]  # to be tried anew
        patience = Patience(self._patience_s)
        rows = [self._row(f, choice, patience, look) for f in found]
        wait_together(self._slow.values(), AT_LAST_S)  # most that are slow have only been slow
        at_last = Patience(0.0)
        return [
            self._row(f, choice, at_last, look) if row.name in self._slow else row
            for f, row in zip(found, rows, strict=True)
        ]

    def _row(
        self, found: _Found, choice: Choice, patience: Patience, look: Look | None
    ) -> PluginRow:
        row = found.row
        if row.state in ("conflict", "failed"):
            return row
        reason = None if row.name == _BUILTIN else choice.reason_against(row.name)
        if reason is not None:
            return attrs.evolve(row, state="disabled", reason=reason)
        loaded = self._loaded.get(row.name)
        if loaded is not None:
            return loaded if _is_same(loaded, row) else _to_restart(row, loaded.version, loaded)
        tried = self._tried.setdefault(row.name, row.version)
        if tried != row.version and row.module.partition(":")[0] in sys.modules:
            return _to_restart(row, tried, attrs.evolve(row, state="failed"))
        row = self._load_one(found, patience, look)
        if row.state == "loaded":
            self._loaded[row.name] = row
        return row

    def _load_one(self, found: _Found, patience: Patience, look: Look | None) -> PluginRow:
        row = found.row

        def work() -> tuple[Spec, ...]:
            specs = register(found.load(), name=row.name)
            if look is not None:
                for spec in specs:
                    look(spec)
            return specs

        attempt = self._slow.pop(row.name, None) or Attempt(work, name=row.name)
        if row.name == _BUILTIN:  # ours: without it nothing works, however slow the machine
            attempt.wait(None)
        try:
            specs = patience.wait(attempt)
        except TooSlowError as error:
            self._slow[row.name] = attempt
            return attrs.evolve(row, state="failed", reason=str(error))
        except PluginError as error:
            return attrs.evolve(row, state="failed", reason=error.detail)
        except BaseException as error:
            if error is not attempt.error:  # ours: Ctrl-C while we wait
                raise
            return attrs.evolve(row, state="failed", reason=_explain(error, row))
        return attrs.evolve(row, state="loaded", specs=specs)


def _is_same(loaded: PluginRow, row: PluginRow) -> bool:
    return (loaded.distribution, loaded.version, loaded.module) == (
        row.distribution, row.version, row.module,
    )  # fmt: skip


def _to_restart(row: PluginRow, known: str, shown: PluginRow) -> PluginRow:
    runs = "is loaded" if shown.state == "loaded" else "was tried"
    what = f"{row.distribution} {row.version} is installed, {known} {runs}"
    return attrs.evolve(shown, reason=f"{what}: restart Bond to change it")


def register(module: ModuleType | object, *, name: str) -> tuple[Spec, ...]:
    """Return what one plugin module registers, checked.

    Raises:
        PluginError: It breaks the contract; the text says how.
    """
    _refuse_async_hooks(module)
    manager = pluggy.PluginManager("bond")
    for hooks in (ConnectorHooks, AggregatorHooks, SinkHooks, ServerHooks):
        manager.add_hookspecs(hooks)
    try:
        manager.register(module, name=name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"a hook is wrong: {error}") from error
    _refuse_unmarked_hooks(module, manager)
    specs: list[Spec] = []
    for hook_name, spec_type in _HOOKS:
        for hook in getattr(manager.hook, hook_name).get_hookimpls():
            if hook.wrapper or hook.hookwrapper:
                raise PluginError(f"{hook_name} is a wrapper; hooks are plain functions")
            # Not by pluggy's call, which leaves out what returns None. A hook may be a
            # generator: its body runs only here, while we still watch.
            answer = hook.function(*[_ARGUMENTS[name] for name in hook.argnames])
            specs += _checked(answer, spec_type, hook_name)
    return tuple(specs)


def _find() -> list[_Found]:
    points, unreadable = _entry_points()
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
    return found + [_Found(row, _nothing) for row in unreadable]


def _nothing() -> None:
    """Load what can't be found."""


def _entry_points() -> tuple[Iterable[metadata.EntryPoint], list[PluginRow]]:
    """Return the entry points of plugins, and a row for each package that hides its own."""
    try:
        return metadata.entry_points(group=GROUP), []
    except Exception:  # noqa: BLE001 -- one bad file anywhere, and Python lists none at all
        return _entry_points_one_by_one()


def _entry_points_one_by_one() -> tuple[Iterable[metadata.EntryPoint], list[PluginRow]]:
    points: dict[str, Iterable[metadata.EntryPoint]] = {}
    unreadable = []
    for dist in metadata.distributions():
        folder = str(getattr(dist, "_path", "?"))
        name = dist.name or folder.replace("\\", "/").rpartition("/")[2].partition("-")[0]
        try:
            found = [point for point in dist.entry_points if point.group == GROUP]
        except Exception as error:  # noqa: BLE001 -- as above
            if not _may_be_ours(folder):
                continue
            reason = f"the metadata in {folder} can't be read: {error}"
            row = PluginRow(
                name=name, distribution=name, version=dist.version or "?", module="?",
                state="failed", reason=reason,
            )  # fmt: skip
            unreadable.append(row)
        else:
            points.setdefault(name.lower(), found)  # the first on the path counts, as it imports
    return [point for found in points.values() for point in found], unreadable


def _may_be_ours(folder: str) -> bool:
    """Whether a package that can't be read says somewhere that it is a plugin of Bond."""
    try:
        return GROUP.encode() in (Path(folder) / "entry_points.txt").read_bytes()
    except OSError:
        return False


def _explain(error: BaseException, row: PluginRow) -> str:
    package = row.module.partition(":")[0].partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and error.name == package:
        return (
            f"{type(error).__name__}: {error}: its files are gone and its metadata stayed; "
            f"`pip uninstall {row.distribution}`, or install it again"
        )
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


def _checked(answer: object, spec_type: type[Spec], hook_name: str) -> list[Spec]:
    if isinstance(answer, spec_type):
        raise PluginError(f"{hook_name} must yield its specs, not return one")
    if not isinstance(answer, Iterable) or isinstance(answer, (str, bytes, Mapping)):
        raise PluginError(f"{hook_name} must yield its specs, returned {type(answer).__name__}")
    from bond_core.plugin.checking import fault_of  # noqa: PLC0415 -- listing checks nothing

    specs: list[Spec] = []
    for spec in answer:
        if type(spec) is not spec_type:
            raise PluginError(
                f"{hook_name} must yield {spec_type.__name__}, was {type(spec).__name__}"
            )
        fault = fault_of(spec)
        if fault is not None:
            raise PluginError(f"{spec.name}: {fault}")
        specs.append(spec)
        if len(specs) > _MOST_SPECS:
            raise PluginError(f"{hook_name} yields more than {_MOST_SPECS} specs")
    return specs
