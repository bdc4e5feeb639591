"""Import what a spec's `factory` names."""

from __future__ import annotations

import importlib
from typing import Any

from bond_core.errors import PluginError


def load_class(factory: str) -> Any:
    """Import and return what `package.module:Class` names.

    Raises:
        PluginError: It can't be imported (its SDK is missing, or it breaks while it is
            imported), or isn't there.
    """
    module_name, _, attribute = factory.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{factory} can't be loaded: {error}") from error
    except (Exception, SystemExit) as error:  # whatever a plugin does at import
        raise PluginError(f"{factory} can't be loaded: {type(error).__name__}: {error}") from error


def load_name(name: str) -> Any:
    """Import and return what `package.module:attribute`, or `package.module` alone, names.

    Raises:
        PluginError: As load_class says.
    """
    if ":" in name:
        return load_class(name)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{name} can't be loaded: {type(error).__name__}: {error}") from error
