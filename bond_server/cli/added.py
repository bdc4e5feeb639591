"""Commands that plugins add: found by loading the plugins, when no other has the name."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import attrs

from bond_core.errors import BondError
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.factories import load_class
from bond_core.plugin.specs import CommandSpec
from bond_server.assumed import defaults_of, egress_of
from bond_server.environment import apply_dotenv
from bond_server.local import Bond
from bond_server.parts.loading import host_of
from bond_server.plugin_choice import plugins_of


@attrs.frozen
class AddedCommand:
    """A command of a plugin, as the command line takes it: see `bond_server.cli`."""

    spec: CommandSpec

    @property
    def HELP(self) -> str:  # noqa: N802 -- a constant where commands are modules
        """What it does."""
        return self.spec.summary

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare its arguments, and what all commands of plugins have.

        Raises:
            PluginError: What should declare them can't be loaded.
        """
        load_class(self.spec.arguments)(parser)
        parser.add_argument(
            "--simulate", action="store_true",
            help="simulate the source; every line says so (or BOND_SIMULATE=1)",
        )  # fmt: skip

    def run(self, args: argparse.Namespace) -> int:
        """Run it in a Bond of its own."""
        return asyncio.run(self._run(args))

    async def _run(self, args: argparse.Namespace) -> int:
        defaults = defaults_of(os.environ, simulate=args.simulate)
        if defaults.simulate:
            print("SIMULATED   what follows is made up", file=sys.stderr)
        async with Bond(
            defaults=defaults, egress=egress_of(os.environ), plugins=plugins_of(os.environ)
        ) as bond:
            host = host_of(self.spec, bond, is_simulated=defaults.simulate, environ=os.environ)
            return int(await load_class(self.spec.factory)(args, host))


def added_commands() -> dict[str, AddedCommand]:
    """Return the commands that plugins add, by name; none where the plugins can't be chosen."""
    with suppress(BondError):  # whoever mistyped a command has to hear that, and nothing else
        apply_dotenv(os.environ, Path.cwd())
        catalog = Catalog.loaded(plugins_of(os.environ))
        return {spec.name: AddedCommand(spec) for spec in catalog.commands}
    return {}
