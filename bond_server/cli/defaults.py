"""Read from the environment what a command assumes where a request leaves it open."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from bond_core.runtime.binding import Defaults
from bond_server.settings import read_settings


def defaults_of(environ: Mapping[str, str], *, simulate: bool) -> Defaults:
    """Return what is assumed where a request leaves it open, as the environment says."""
    # Nothing is signed here, so no secret needs to be found, or made and kept.
    settings = read_settings({**environ, "BOND_SECRET": secrets.token_hex(32)})
    return settings.defaults(simulate=simulate)
