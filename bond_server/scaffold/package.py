"""Make the files of a new plugin package out of the templates beside this module.

A template is the file itself with `@name@` and the like in it; what they become stands in
`Names`. The tutorials show these files for a plugin called `acme`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

import attrs

from bond_core.errors import RequestError, SetupError

Kind = Literal["poll", "websocket", "sdk", "aggregator", "sink"]

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_LONGEST = 40
_TAKEN = frozenset({"bond", "builtin", "core", "server", "streams", "test", "tests"})

_COMMON: Mapping[str, str] = {
    "pyproject.toml": "common/pyproject.toml",
    "README.md": "common/README.md",
    ".gitignore": "common/gitignore",
    ".github/workflows/tests.yml": "common/github/tests.yml",
    "tests/test_conformance.py": "common/tests/test_conformance.py",
    "@package@/__init__.py": "common/init.py",
}


@attrs.frozen(kw_only=True)
class _Kind:
    """What is particular to a kind: its modules beside `plugin.py`, and how it is spoken of."""

    work: str
    summary: str
    trial: str
    more: tuple[str, ...] = ()


_KINDS: Mapping[Kind, _Kind] = {
    "poll": _Kind(
        work="connector", summary="Quotes from @Title@, by polling",
        trial='bond explain "BTC bid and ask from @name@ every 5s"',
    ),
    "websocket": _Kind(
        work="connector", summary="Trades from @Title@, over a WebSocket",
        trial='bond explain "BTC price from @name@ every 1s"',
    ),
    "sdk": _Kind(
        work="connector", summary="Quotes from @Title@, through its library", more=("vendor",),
        trial='bond explain "BTC bid and ask from @name@ every 1s"',
    ),
    "aggregator": _Kind(
        work="aggregator", summary="The typical price of a window, by @Title@",
        trial='bond explain "BTC @spoken@ typical price every 1s"',
    ),
    "sink": _Kind(
        work="sink", summary="Records into a file, by @Title@", trial="bond plugins docs @name@"
    ),
}  # fmt: skip


def check_name(name: str) -> str:
    """Return the name of a plugin to be, without `bond-` before it.

    Raises:
        RequestError: `bad_name`: it can't be a plugin's, and why.
    """
    plain = name.removeprefix("bond-")
    if not _NAME.fullmatch(plain) or len(plain) > _LONGEST:
        detail = f"a plugin's name is like acme or acme-fx: small letters, at most 40; not {name!r}"
        near = "-".join(re.findall(r"[a-z0-9]+", plain.lower())).lstrip("0123456789-")[:_LONGEST]
        fix = f"bond plugins new {near} --kind poll" if _NAME.fullmatch(near) else None
        raise RequestError(detail, code="bad_name", fix=fix)
    if plain in _TAKEN or keyword.iskeyword(plain):
        raise RequestError(f"the name {plain!r} is taken", code="bad_name")
    return plain


def files_of(name: str, kind: Kind) -> dict[str, str]:
    """Return a package's files: path in its folder → text.

    Args:
        name: As `check_name` returned it.
        kind: What the plugin is.
    """
    particular = _KINDS[kind]
    words = _words(name, particular)
    modules = ("plugin", particular.work, *particular.more, "conformance")
    wanted = {
        **_COMMON, **{f"@package@/{module}.py": f"{kind}/{module}.py" for module in modules},
    }  # fmt: skip
    templates = files("bond_server.scaffold") / "templates"
    return {
        _filled(path, words): _filled(_text(templates, template), words)
        for path, template in wanted.items()
    }


def write(folder: Path, made: Mapping[str, str]) -> None:
    """Write a package into a folder that isn't there yet, or is empty.

    Raises:
        SetupError: There is something already, or it can't be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SetupError(
                f"{folder} is there already, and is not overwritten", code="not_empty",
                fix=None,
            )  # fmt: skip
        for path, text in made.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SetupError(f"{folder} can't be written: {error.strerror or error}") from error


def _words(name: str, particular: _Kind) -> dict[str, str]:
    package = f"bond_{name.replace('-', '_')}"
    title = " ".join(part.capitalize() for part in name.split("-"))
    words = {
        "name": name,
        "dist": f"bond-{name}",
        "package": package,
        "field": name.replace("-", "_"),
        "spoken": name.replace("-", " "),
        "Class": title.replace(" ", ""),
        "Title": title,
        "NAME": name.replace("-", "_").upper(),
        "work": particular.work,
    }
    return words | {
        "summary": _filled(particular.summary, words), "try": _filled(particular.trial, words),
    }  # fmt: skip


def _text(templates: Traversable, template: str) -> str:
    return templates.joinpath(f"{template}.tmpl").read_text(encoding="utf-8")


def _filled(text: str, words: Mapping[str, str]) -> str:
    return re.sub("@([A-Za-z]+)@", lambda match: words[match[1]], text)
