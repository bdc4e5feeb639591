"""Read from the environment what a command assumes where a request leaves it open."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from bond_core.clock import SystemClock
from bond_core.plugin.egress import Egress
from bond_core.runtime.binding import Defaults
from bond_core.settings import SettingsError
from bond_server.environment import with_files
from bond_server.proposals.proposer import Proposer
from bond_server.proposals.settings import model_settings
from bond_server.settings import ServerSettings, read_settings


def defaults_of(environ: Mapping[str, str], *, simulate: bool) -> Defaults:
    """Return what is assumed where a request leaves it open, as the environment says."""
    return _settings(environ).defaults(simulate=simulate)


def egress_of(environ: Mapping[str, str]) -> Egress:
    """Return the guard of the URLs in a request, as the environment says."""
    return Egress(_settings(environ).egress)


def proposer_of(environ: Mapping[str, str]) -> Proposer:
    """Return what asks the language model that the environment names."""
    names = ("DEEPSEEK_API_KEY", "BOND_LLM_", "BOND_NL")
    settings, problems = model_settings(
        with_files({name: environ[name] for name in environ if name.startswith(names)})
    )
    if problems:
        raise SettingsError(f"{problems[0].pointer} {problems[0].detail}", problems=problems)
    return Proposer(settings, SystemClock())


def _settings(environ: Mapping[str, str]) -> ServerSettings:
    # Nothing is signed here, so no secret needs to be found, or made and kept.
    return read_settings({**environ, "BOND_SECRET": secrets.token_hex(32)})
