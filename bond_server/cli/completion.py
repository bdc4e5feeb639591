"""`bond completion`: a script that lets a shell complete commands, options and their values.

Made from the commands' own descriptions, so that it can't drift; the shell then needs no Python
to complete a word.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import attrs

from bond_server.cli import COMMANDS, parser_of

NAME = "completion"
HELP = "print what lets bash, zsh or fish complete commands and options"
EXAMPLES = """\
examples:
  eval "$(bond completion bash)"                      in ~/.bashrc
  eval "$(bond completion zsh)"                       in ~/.zshrc, after compinit
  bond completion fish > ~/.config/fish/completions/bond.fish"""

_FILES = ("FILE", "PATH", "FOLDER")


@attrs.frozen(kw_only=True)
class Option:
    """One option: its spellings, and what may follow it."""

    flags: tuple[str, ...]
    says: str
    takes_value: bool
    choices: tuple[str, ...] = ()
    is_file: bool = False


@attrs.frozen(kw_only=True)
class Level:
    """What may stand behind some words: `bond`, `bond listen`, `bond plugins list`.

    Attributes:
        words: What stands before, without `bond`.
        children: Commands that may follow, with what each does.
        options: Options that may follow.
        values: What a place without a name may hold, where that is known.
    """

    words: tuple[str, ...]
    children: tuple[tuple[str, str], ...]
    options: tuple[Option, ...]
    values: tuple[str, ...]

    @property
    def at(self) -> str:
        """The words as one text."""
        return " ".join(self.words)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare for which shell."""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="the shell to print it for")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    from bond_server.cli.completion_scripts import SCRIPTS  # noqa: PLC0415 -- it imports us

    print(SCRIPTS[args.shell](levels()))
    return 0


def levels() -> list[Level]:
    """Return all there is to complete, the command `bond` first."""
    top = tuple((name, says) for name, (_, says) in COMMANDS.items())
    usual = (
        Option(flags=("-h", "--help"), says="show help", takes_value=False),
        Option(flags=("-V", "--version"), says="show the version", takes_value=False),
    )
    found = [Level(words=(), children=top, options=usual, values=())]
    for name in COMMANDS:
        found += _levels((name,), parser_of(name))
    return found


def _levels(words: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[Level]:
    # argparse has no other way to ask a parser what it takes.
    actions = parser._actions  # noqa: SLF001
    nested = [a for a in actions if isinstance(a, argparse._SubParsersAction)]  # noqa: SLF001
    children = [
        (str(choice.dest), str(choice.help or ""))
        for action in nested
        for choice in action._choices_actions  # noqa: SLF001
    ]
    places = [a for a in actions if not a.option_strings and a not in nested]
    yield Level(
        words=words,
        children=tuple(children),
        options=tuple(_option(a, parser) for a in actions if a.option_strings),
        values=tuple(str(value) for place in places for value in place.choices or ()),
    )
    for action in nested:
        for name, inner in action.choices.items():
            yield from _levels((*words, name), inner)


def _option(action: argparse.Action, parser: argparse.ArgumentParser) -> Option:
    says = parser._get_formatter()._expand_help(action) if action.help else ""  # noqa: SLF001
    return Option(
        flags=tuple(action.option_strings),
        says=" ".join(says.split()),
        takes_value=action.nargs != 0,
        choices=tuple(map(str, action.choices or ())),
        is_file=action.metavar in _FILES,
    )
