"""What the environment says about the sinks that users ask for (`bond_core.runtime.sink_policy`).

    BOND_SINK_SECRETS   what their settings may name as secrets: variables, such as `HOOK_*`, and
                        folders of secret files, such as `/run/secrets`
    BOND_SINK_DIR       the folder that they may write files in

A server that only this machine can reach lets its users name any variable but Bond's own, any
file and any folder. One that others can reach lets them name none, until these are set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from bond_core.errors import Problem
from bond_core.runtime.sink_policy import SinkPolicy
from bond_server.environment import wrong

_VARIABLES = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?|\*")


def sink_policy(
    environ: Mapping[str, str], *, is_loopback: bool
) -> tuple[SinkPolicy, list[Problem]]:
    """Return what the environment allows, and what in it makes no sense.

    Args:
        environ: The variables.
        is_loopback: Whether only this machine can reach the server.
    """
    problems: list[Problem] = []
    folder = environ.get("BOND_SINK_DIR", "").strip()
    if folder and not Path(folder).is_absolute():
        problems.append(wrong("BOND_SINK_DIR", folder, "an absolute path"))
    named = "BOND_SINK_SECRETS" in environ
    variables, folders = [], []
    for word in filter(None, map(str.strip, environ.get("BOND_SINK_SECRETS", "").split(","))):
        if Path(word).is_absolute():
            folders.append(Path(word))
        elif _VARIABLES.fullmatch(word):
            variables.append(word)
        else:
            must = "variables, such as HOOK_*, or absolute paths of folders"
            problems.append(wrong("BOND_SINK_SECRETS", word, must))
    is_any = is_loopback and not named
    policy = SinkPolicy(
        variables=("*",) if is_any else tuple(variables),
        secret_folders=None if is_any else tuple(folders),
        folder=Path(folder) if folder else None,
        writes=is_loopback or bool(folder),
    )
    return policy, problems
