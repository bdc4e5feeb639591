"""Make the parts that plugins add to the server; one that breaks is told, and left out."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import attrs
import msgspec

from bond_core.errors import BondError, PluginError
from bond_core.plugin.factories import load_class
from bond_core.plugin.serving import Method, Route, ServerPart
from bond_core.plugin.specs import CommandSpec, ServerSpec
from bond_core.settings import from_environment, structure
from bond_server.auth.keys import SCOPES
from bond_server.auth.project import OPEN
from bond_server.parts.host import PartHost
from bond_server.service import Service

_PATH = re.compile(r"(/([a-zA-Z0-9_.-]+|\{[a-z_]+\}))+")
_PARAMETER = re.compile(r"\{[a-z_]+\}")

_log = logging.getLogger("bond.server")


@attrs.frozen
class Part:
    """One part, or why there isn't one.

    Attributes:
        made: What its plugin made.
        routes: Its routes, checked; none where it failed.
        failure: Why it isn't there.
    """

    spec: ServerSpec
    made: ServerPart | None = None
    routes: tuple[Route, ...] = ()
    failure: str | None = None

    def about(self) -> dict[str, Any]:
        """Return what `GET /` says of it."""
        said = {} if self.made is None else self._said(self.made.about)
        return {"summary": self.spec.summary} | ({"status": "failed"} if said is None else said)

    def health(self) -> dict[str, Any]:
        """Return what `GET /health` says of it."""
        if self.made is None:
            return {"status": "failed", "reason": self.failure}
        said = self._said(self.made.health)
        if said is None:
            return {"status": "failed", "reason": "it can't say how it is; the log says why"}
        return {"status": "ok"} | said

    def _said(self, say: Callable[[], Mapping[str, Any]]) -> dict[str, Any] | None:
        """Return what it says of itself; None where it breaks doing so, or says no JSON."""
        try:
            said = dict(say())
            msgspec.json.encode(said)
        except Exception:  # noqa: BLE001 -- a plugin's code may raise anything
            _log.exception("the part %s of the server has a bug", self.spec.name)
            return None
        return said


def load_parts(
    bond: Service, *, is_simulated: bool, environ: Mapping[str, str] | None = None
) -> tuple[Part, ...]:
    """Return all parts of the server that the installed plugins describe."""
    environ = os.environ if environ is None else environ
    return tuple(
        _load(spec, bond, is_simulated=is_simulated, environ=environ)
        for spec in bond.catalog.server_parts
    )


def host_of(
    spec: ServerSpec | CommandSpec, bond: Service, *, is_simulated: bool,
    environ: Mapping[str, str],
) -> PartHost:  # fmt: skip
    """Return what a part or command gets.

    Raises:
        SettingsError: What the environment says of its settings makes no sense.
    """
    return PartHost(
        clock=bond.clock,
        log=logging.getLogger(f"bond.part.{spec.name}"),
        config=structure(spec.config, from_environment(spec.config, environ)),
        is_simulated=is_simulated,
        catalog=bond.catalog,
        feeds=bond.feeds,
        environ=environ,
    )


def _load(
    spec: ServerSpec, bond: Service, *, is_simulated: bool, environ: Mapping[str, str]
) -> Part:
    try:
        host = host_of(spec, bond, is_simulated=is_simulated, environ=environ)
        made = load_class(spec.factory)(host)
        routes = tuple(made.routes)
        _check(spec, routes)
    except BondError as error:
        failure = error.detail
        _log.error("the part %s of the server is left out: %s", spec.name, failure)
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- a plugin's code may raise anything
        failure = f"{type(error).__name__}: {error}"
        _log.exception("the part %s of the server is left out", spec.name)
    else:
        return Part(spec, made, routes)
    return Part(spec, failure=failure)


def _check(spec: ServerSpec, routes: Sequence[Route]) -> None:
    """Raise PluginError for what the web framework would refuse together with the whole server."""
    own = {("POST", f"{spec.prefix}/token"), ("DELETE", f"{spec.prefix}/tokens")}
    seen = own if any(route.by_token for route in routes) else set()
    names: dict[str, str] = {}
    for route in routes:
        if route.method not in get_args(Method):
            raise PluginError(f"{route.path}: there is no method {route.method!r}")
        if not _PATH.fullmatch(route.path):
            raise PluginError(f"a path is written like `/acme/{{city}}`, was {route.path!r}")
        if not f"{route.path}/".startswith(f"{spec.prefix}/"):
            raise PluginError(f"{route.path} is not below {spec.prefix}")
        if route.scope != OPEN and route.scope not in SCOPES:
            raise PluginError(f"{route.path}: there is no scope {route.scope!r}")
        if (route.method, route.path) in seen:
            raise PluginError(f"{route.method} {route.path} is there twice")
        seen.add((route.method, route.path))
        for name in _PARAMETER.finditer(route.path):
            before = _PARAMETER.sub("{}", route.path[: name.start()])
            if names.setdefault(before, name[0]) != name[0]:
                raise PluginError(f"{route.path}: others call {name[0]} {names[before]}")
