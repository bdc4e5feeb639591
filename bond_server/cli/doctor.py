"""`bond doctor`: is this machine ready? What is wrong comes with what mends it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Literal

import attrs

from bond_core.errors import BondError
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.records import missing_keys
from bond_server.auth.secret import is_weak
from bond_server.cli.colours import verdict_for
from bond_server.data_dir import holding
from bond_server.environment import with_files
from bond_server.plugin_choice import plugins_of
from bond_server.settings import ServerSettings, read_settings

NAME = "doctor"
HELP = "say whether this machine is ready"
EXAMPLES = """\
examples:
  bond doctor
  bond doctor --offline         asks nobody outside this machine
  bond doctor --json | jq '.[] | select(.verdict != "ok")'

Exit status 1 if something fails; a warning is no failure."""

Verdict = Literal["ok", "warn", "FAIL"]


@attrs.frozen
class Check:
    """What was looked at, and what was found.

    Attributes:
        about: What was looked at, a word or two.
        said: What was found.
        fix: A command or setting that mends it.
    """

    verdict: Verdict
    about: str
    said: str
    fix: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how far to look."""
    parser.add_argument("--offline", action="store_true", help="ask nobody outside this machine")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Look at everything, and say how it fares; each line is printed as it is found."""
    found: list[Check] = []
    for check in _checks(os.environ, is_offline=args.offline):
        found.append(check)
        if not args.json:
            _print(check)
    if args.json:
        print(json.dumps([attrs.asdict(check) for check in found], indent=2))
    else:
        print(_summary(found))
    return 1 if any(check.verdict == "FAIL" for check in found) else 0


def _checks(environ: Mapping[str, str], *, is_offline: bool) -> Iterator[Check]:
    yield _python()
    settings, check = _settings(environ)
    yield check
    yield _secret(environ)
    if settings is not None:
        yield _data_dir(settings.data_dir)
        yield _port(settings)
        if settings.redis_url is not None:
            yield asyncio.run(_redis(settings.redis_url.reveal()))
    yield from _plugins(environ)
    if settings is not None and not is_offline:
        from bond_server.cli.reach import reach  # noqa: PLC0415 -- it loads an HTTP client

        defaults = settings.defaults()
        yield from asyncio.run(reach((*defaults.exchanges, *defaults.fallback)))


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("ok", "python", f"{version}, bond-streams {metadata.version('bond-streams')}")


def _settings(environ: Mapping[str, str]) -> tuple[ServerSettings | None, Check]:
    try:
        # Read as on loopback, with a secret: looking must not make and keep one.
        given = {"BOND_SECRET": secrets.token_hex(32)}
        settings = read_settings({**with_files(environ), **given})
    except BondError as error:
        return None, Check("FAIL", "settings", str(error).replace("\n", ";"))
    ours = sum(name.startswith(("BOND_", "EKKO_")) for name in environ)
    return settings, Check("ok", "settings", f"{ours} set with BOND_ or EKKO_")


def _secret(environ: Mapping[str, str]) -> Check:
    given = with_files(environ).get("BOND_SECRET")
    if not given:
        said = "BOND_SECRET is not set: good enough for this machine only"
        return Check("warn", "secret", said, "export BOND_SECRET=$(bond secret new)")
    if is_weak(given):
        said = "BOND_SECRET is short or well known: nobody else is served with it"
        return Check("FAIL", "secret", said, "export BOND_SECRET=$(bond secret new)")
    return Check("ok", "secret", "BOND_SECRET is a good one")


def _data_dir(data_dir: Path) -> Check:
    try:
        with holding(data_dir):
            return Check("ok", "data", f"{data_dir} can be written")
    except BondError as error:
        is_taken = error.code == "data_dir_taken"
        return Check("warn" if is_taken else "FAIL", "data", error.detail, error.fix)


def _port(settings: ServerSettings) -> Check:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            said = f"{settings.port} can't be taken: {error.strerror}"
            return Check("warn", "port", said, f"bond serve --port {settings.port + 1}")
    return Check("ok", "port", f"{settings.port} is free")


async def _redis(url: str) -> Check:
    from bond_server.redis_log.connect import connected  # noqa: PLC0415 -- loads its client

    try:
        async with connected(url):
            return Check("ok", "redis", "REDIS_URL answers")
    except BondError as error:
        return Check("FAIL", "redis", error.detail)


def _plugins(environ: Mapping[str, str]) -> Iterator[Check]:
    rows = Catalog.loaded(plugins_of(environ)).rows
    wrong = [row for row in rows if row.state in ("failed", "conflict")]
    for row in wrong:
        said = f"{row.name} {row.state}: {row.reason}"
        yield Check("FAIL", "plugin", said, f"bond plugins info {row.name}")
    if not wrong:
        loaded = [row for row in rows if row.state == "loaded"]
        yield Check("ok", "plugins", f"{len(loaded)} loaded")
    for row in rows:
        for key, why in missing_keys(row, environ).items():
            yield Check(
                "warn", "key", f"{key} is not set: {row.name} will refuse, not invent. {why}"
            )


def _print(check: Check) -> None:
    verdict = verdict_for(sys.stdout, check.verdict)
    print(f"{verdict}  {check.about:<9} {check.said}", flush=True)
    if check.fix is not None:
        print(f"{'':<16}try: {check.fix}", flush=True)


def _summary(found: Iterable[Check]) -> str:
    verdicts = [check.verdict for check in found]
    warnings, failures = verdicts.count("warn"), verdicts.count("FAIL")
    return (
        f"{verdicts.count('ok')} ok, {warnings} warning{'s' * (warnings != 1)}, "
        f"{failures} failure{'s' * (failures != 1)}"
    )
