"""Checks 1 to 7: what holds for every plugin, whatever it brings: registration and settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NoReturn, TypeVar
from unittest.mock import patch

from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow, Plugins
from bond_core.plugin.specs import CommandSpec, Spec
from bond_core.settings import SettingsError, json_schema, structure
from bond_core.testing.registering import Registering, looked_at
from bond_core.testing.schemas import broken_promises, plain_credentials, required_examples, samples

T = TypeVar("T")

PATIENCE_S = 5.0
"""How long a plugin may take to load: longer than in a server, for tests may have company."""

CPU_S = 0.15
"""What registering may cost, in seconds of the processor: it is done at every start."""


class PluginConformance:
    """What holds for a plugin as a whole: use it alone for one that registers nothing.

    Attributes:
        plugin: The name of its entry point; left out, it is the one that brings `spec`.
    """

    plugin: ClassVar[str] = ""

    def test_the_plugin_loads(self) -> None:
        """Check 1: it registers without a fault, under names that are its own."""
        row = self.row()

        assert row.state == "loaded", f"plugin {row.name} is {row.state}: {row.reason}"
        for spec in row.specs:
            if isinstance(spec, CommandSpec):  # its name is what people type
                continue
            is_own = spec.name == row.name or spec.name.startswith(f"{row.name}.")
            assert is_own, f"{spec.name!r} is not {row.name!r}, and doesn't begin with {row.name}."

    def test_registering_loads_no_work(self) -> None:
        """Check 2: registering loads no SDK and no class that works, and starts nothing."""
        self.loaded_or_skip()
        found = self.registering()

        assert not found.loaded, f"registering the plugin imports {', '.join(found.loaded)}"
        assert not found.threads, f"registering the plugin starts {', '.join(found.threads)}"
        assert not found.sockets, "registering the plugin opens a socket"
        assert found.cpu_s <= CPU_S, f"registering the plugin computes for {found.cpu_s:.2f} s"

    def row(self) -> PluginRow:
        """Return how the plugin fares, installed as it is."""
        rows = self._once("rows", _rows)
        for row in rows:
            if row.name == self.plugin:
                return row
        raise AssertionError(f"no plugin {self.plugin!r} is installed; {_fates(rows)}")

    def loaded_or_skip(self) -> PluginRow:
        """Return the plugin's row; skip what can't be looked at because it isn't loaded."""
        row = self.row()
        if row.state != "loaded":
            skip(f"plugin {row.name} is {row.state}: see test_the_plugin_loads")
        return row

    def registering(self) -> Registering:
        """Return what came of registering it in a process of its own."""
        return self._once("registering", self._registering)

    def _registering(self) -> Registering:
        row = self.row()
        modules = dict.fromkeys(spec.factory.partition(":")[0] for spec in row.specs)
        return looked_at(row.name, "", modules=list(modules), configs={})

    def _once(self, what: str, make: Callable[[], T]) -> T:
        """Make something for all checks of this class, the first time that one asks for it."""
        cls = type(self)
        if "_made" not in vars(cls):
            cls._made = {}
        if what not in cls._made:
            cls._made[what] = make()
        made: T = cls._made[what]
        return made

    _made: ClassVar[dict[str, Any]] = {}


class SpecConformance(PluginConformance):
    """What holds for everything that a plugin brings.

    Attributes:
        spec: The spec's name.
        config: Settings that work.
        env: Environment variables that the settings name.
        bad_configs: By what is wrong with them, settings that must be refused.
        released: The schema of its settings as the last release had it, from
            `bond plugins info NAME --json`.
        not_secret: Settings that are called like a credential, and are none.
    """

    spec: ClassVar[str]
    config: ClassVar[Mapping[str, Any]] = {}
    env: ClassVar[Mapping[str, str]] = {}
    bad_configs: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    released: ClassVar[Mapping[str, Any] | None] = None
    not_secret: ClassVar[Sequence[str]] = ()

    def test_every_setting_is_described(self) -> None:
        """Check 3: its settings' schema is closed, and says what each of them is."""
        schema: Any = json_schema(self.installed().config)
        silent = [name for name, s in schema["properties"].items() if not s.get("description")]

        assert schema["additionalProperties"] is False
        assert not silent, f"setting(doc=...) is missing for {silent}"

    def test_credentials_are_secrets(self) -> None:
        """Check 4: a setting that is called like a credential has the type Secret."""
        plain = set(plain_credentials(self.installed().config)) - set(self.not_secret)

        assert not plain, f"{sorted(plain)} must be of type Secret, or stand in `not_secret`"

    def test_bad_settings_are_refused(self) -> None:
        """Check 5: each of `bad_configs` is refused, with its place, and before any SDK loads."""
        self.installed()
        if not self.bad_configs:
            skip("no bad_configs: nothing is known of what must be refused")
        found = self.registering()

        for what in self.bad_configs:
            places = found.refused[what]
            assert places is not None, f"taken although bad: {what}"
            assert all(places), f"refused without saying where: {what}"
        late = set(found.loaded_later) - set(found.loaded)
        assert not late, f"looking at settings imports {', '.join(sorted(late))}"

    def test_what_the_schema_says_is_so(self) -> None:
        """Check 6: examples, defaults and bounds are taken; what lies beyond is refused."""
        cls = self.installed().config
        with self.environment():
            base = {**required_examples(cls), **self.settings()}
            fault = _fault(cls, base)
            if fault and not self.config:
                skip(f"no `config`: settings that work are not known ({fault})")
            assert fault is None, f"its own settings are refused: {fault}"
            for sample in samples(cls):
                given = {**base, sample.name: sample.value}
                fault = _fault(cls, given)
                if sample.is_fine:
                    assert fault is None, f"{sample}, but is refused: {fault}"
                else:
                    assert fault is not None, f"{sample}, but is taken"

    def test_settings_of_the_last_release_still_work(self) -> None:
        """Check 7: nothing that `released` allows is refused now, and nothing new is required."""
        now = json_schema(self.installed().config)
        if self.released is None:
            skip("no `released`: there is no schema of an earlier release to compare with")
        broken = broken_promises(self.released, now)

        assert not broken, "; ".join(broken)

    def row(self) -> PluginRow:
        """Return how the plugin fares that brings the spec."""
        rows = self._once("rows", _rows)
        for row in rows:
            if row.name == self.plugin or any(spec.name == self.spec for spec in row.specs):
                return row
        # Not loaded, it brings nothing; by its name it is found all the same.
        for row in rows:
            if self.spec == row.name or self.spec.startswith(f"{row.name}."):
                return row
        raise AssertionError(f"no plugin brings {self.spec!r}; {_fates(rows)}")

    def installed(self) -> Spec:
        """Return the spec, as it is installed."""
        row = self.loaded_or_skip()
        specs = {spec.name: spec for spec in row.specs}
        assert self.spec in specs, f"{row.name} doesn't bring {self.spec}, but {sorted(specs)}"
        return specs[self.spec]

    def settings(self) -> Mapping[str, Any]:
        """Return settings that work."""
        return self.config

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Set the environment variables of `env`."""
        with patch.dict(os.environ, self.env):
            yield

    def work(self) -> list[str]:
        """Return the modules that must not be loaded before something is built."""
        return [spec.factory.partition(":")[0] for spec in self.row().specs]

    def _registering(self) -> Registering:
        modules = list(dict.fromkeys(self.work()))
        configs = {**self.bad_configs, "those that work": self.settings()}
        with self.environment():
            return looked_at(self.row().name, self.spec, modules=modules, configs=configs)


def _rows() -> Sequence[PluginRow]:
    return Catalog.loaded(Plugins(patience_s=PATIENCE_S)).rows


def skip(why: str) -> NoReturn:
    """Skip the check that runs, and say why."""
    import pytest  # noqa: PLC0415 -- only where tests run

    pytest.skip(why)


def _fault(cls: type, given: Mapping[str, Any]) -> str | None:
    try:
        structure(cls, given)
    except SettingsError as error:
        return str(error)
    return None


def _fates(rows: Sequence[PluginRow]) -> str:
    return "; ".join(f"{row.name}: {row.reason or row.state}" for row in rows)
