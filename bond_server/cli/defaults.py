"""Read from the environment what a command assumes where a request leaves it open."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from bond_core.plugin.egress import Egress
from bond_core.runtime.binding import Defaults
from bond_server.settings import ServerSettings, read_settings


def defaults_of(environ: Mapping[str, str], *, simulate: bool) -> Defaults:
    """Return what is assumed where a request leaves it open, as the environment says."""
    return _settings(environ).defaults(simulate=simulate)


def egress_of(environ: Mapping[str, str]) -> Egress:
    """Return the guard of the URLs in a request, as the environment says."""
    return Egress(_settings(environ).egress)


def _settings(environ: Mapping[str, str]) -> ServerSettings:
    # Nothing is signed here, so no secret needs to be found, or made and kept.
    return read_settings({**environ, "BOND_SECRET": secrets.token_hex(32)})
