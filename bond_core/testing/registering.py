"""Look, from a process of its own, at what it costs and does to register a plugin.

    python -m bond_core.testing.registering < question > answer

Both are JSON. A process that has loaded the plugin before would find nothing.
"""  # fmt: skip

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from bond_core.plugin import (
    checking,  # noqa: F401 -- loaded here, it doesn't count as the plugin's
)
from bond_core.plugin.discovery import load_plugins
from bond_core.settings import SettingsError, structure


@attrs.frozen(kw_only=True)
class Registering:
    """What came of registering a plugin, and of looking at settings for it.

    Attributes:
        state: The plugin's state.
        loaded: Those of the modules asked about that were loaded when it was registered.
        loaded_later: Those that were loaded once settings had been looked at.
        threads: Threads that were started.
        sockets: How many sockets were opened.
        cpu_s: How long it took, in seconds of the processor.
        refused: By the name of the settings, where they are wrong; None if they were taken.
    """

    state: str
    loaded: Sequence[str]
    loaded_later: Sequence[str]
    threads: Sequence[str]
    sockets: int
    cpu_s: float
    refused: Mapping[str, Sequence[str] | None]


def looked_at(
    plugin: str, spec: str, *, modules: Sequence[str], configs: Mapping[str, Any]
) -> Registering:
    """Register an installed plugin in a new process, and return what came of it.

    Args:
        plugin: Its name.
        spec: The spec whose settings are looked at.
        modules: Those that must not be loaded.
        configs: Settings, by a name for each.
    """
    question = {"plugin": plugin, "spec": spec, "modules": list(modules), "configs": dict(configs)}
    done = subprocess.run(  # noqa: S603 -- our own words
        [sys.executable, "-m", __name__],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        input=json.dumps(question), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(f"a process that registers {plugin} ended badly:\n{done.stderr}")
    return Registering(**json.loads(done.stdout.splitlines()[-1]))


def _look(question: Mapping[str, Any]) -> Registering:
    load_plugins(only={"builtin"})
    threads, sockets = set(threading.enumerate()), _counted_sockets()
    began_s = time.process_time()
    rows = load_plugins(only={question["plugin"]})
    cpu_s = time.process_time() - began_s
    row = next(row for row in rows if row.name == question["plugin"])
    loaded = [name for name in question["modules"] if name in sys.modules]
    started = [t.name for t in set(threading.enumerate()) - threads]
    config = next((s.config for s in row.specs if s.name == question["spec"]), None)
    refused = {}
    if config is not None:
        refused = {name: _faults(config, given) for name, given in question["configs"].items()}
    return Registering(
        state=row.state, loaded=loaded, threads=started, sockets=len(sockets), cpu_s=cpu_s,
        loaded_later=[name for name in question["modules"] if name in sys.modules],
        refused=refused,
    )  # fmt: skip


def _faults(config: type, given: Any) -> list[str] | None:
    try:
        structure(config, given)
    except SettingsError as error:
        return [problem.pointer or "" for problem in error.problems]
    return None


def _counted_sockets() -> list[int]:
    opened: list[int] = []
    plain = socket.socket.__init__

    def counting(self: socket.socket, *args: Any, **kwargs: Any) -> None:
        opened.append(1)
        plain(self, *args, **kwargs)

    socket.socket.__init__ = counting  # type: ignore[method-assign]  # in a process of its own
    return opened


if __name__ == "__main__":
    print(json.dumps(attrs.asdict(_look(json.load(sys.stdin)))))  # noqa: T201 -- the answer
