"""Read from the environment what a command assumes where a request leaves it open."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import attrs

from bond_core.runtime.binding import Defaults
from bond_server.settings import read_settings


def defaults_of(environ: Mapping[str, str], *, simulate: bool) -> Defaults:
    """Return what is assumed where a request leaves it open, as the environment says.

    Simulated, only venues that can be are assumed.
    """
    # Nothing is signed here, so no secret needs to be found, or made and kept.
    settings = read_settings({**environ, "BOND_SECRET": secrets.token_hex(32)})
    plain = Defaults(simulate=simulate or settings.simulate)
    if settings.default_exchanges:
        behind = tuple(v for v in plain.fallback if v not in settings.default_exchanges)
        return attrs.evolve(plain, exchanges=settings.default_exchanges, fallback=behind)
    return attrs.evolve(plain, fallback=("coinbaseexchange",)) if plain.simulate else plain
