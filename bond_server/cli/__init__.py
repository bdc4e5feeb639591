"""The command line `bond`: find the command, run it, and say errors so that they can be mended.

A command is a module with `NAME`, `HELP`, `add_arguments(parser)` and `run(args) -> int`. It is
imported only when it is the one asked for, so that `bond --help` loads nothing. A command that
takes a sentence calls that argument `text`: errors point into it.

Exit status: 0 it worked, 1 it did not, 2 the command was wrong.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from bond_core.errors import BondError, Problem

COMMANDS = {
    "demo": ("bond_server.cli.demo", "see it all at once: no key, no network, nothing to set up"),
    "listen": ("bond_server.cli.listen", "run a stream here and print its records"),
    "serve": ("bond_server.cli.serve", "serve streams over HTTP and WebSocket"),
    "record": (
        "bond_server.cli.record",
        "keep all that a stream is made of in a file, to play it again",
    ),
    "replay": ("bond_server.cli.replay", "play what `bond record` has kept"),
    "export": ("bond_server.cli.export", "take what a recording holds to Parquet or CSV"),
    "explain": ("bond_server.cli.explain", "say what a sentence would become"),
    "create": ("bond_server.cli.stream_create", "let a server run a stream"),
    "list": ("bond_server.cli.stream_list", "list a server's streams"),
    "show": (
        "bond_server.cli.stream_show",
        "show a stream of a server, and how its sources do",
    ),
    "stop": ("bond_server.cli.stream_stop", "end streams of a server"),
    "token": ("bond_server.cli.stream_token", "get a token that opens a stream of a server"),
    "plan": ("bond_server.cli.plan", "say what would run, how often it asks, and what is missing"),
    "lint": ("bond_server.cli.lint", "say whether a spec is right, and where it is not"),
    "errors": ("bond_server.cli.errors", "say what an error's code means, and what mends it"),
    "doctor": ("bond_server.cli.doctor", "say whether this machine is ready"),
    "plugins": ("bond_server.cli.plugins", "what is installed, how it fares, and how to write one"),
    "webhook": (
        "bond_server.cli.webhook",
        "send a test message to a webhook, and make secrets for one",
    ),
    "keys": ("bond_server.cli.keys", "make, list and revoke API keys"),
    "secret": ("bond_server.cli.secret", "make the secret that tokens are signed with"),
    "completion": (
        "bond_server.cli.completion",
        "print what lets bash, zsh or fish complete commands and options",
    ),
}

EXAMPLES = """\
examples:
  bond demo
  bond listen "BTC price + volume every 1s"
  bond explain "BTC price + tweets every 5s"
  bond serve

`bond COMMAND --help` says more of each."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, and return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        from importlib import metadata  # noqa: PLC0415 -- reads a folder of packages

        print(f"bond {metadata.version('bond-streams')}")
        return 0
    if words[0] in COMMANDS:
        return _run(words[0], words[1:])
    from bond_server.cli.added import added_commands  # noqa: PLC0415 -- loads the plugins

    added = added_commands()
    if words[0] not in added:
        print(_unknown(words[0], added), file=sys.stderr)
        return 2
    return _run(words[0], words[1:], added[words[0]])


def _run(name: str, words: Sequence[str], added: Any = None) -> int:
    from bond_core.errors import BondError  # noqa: PLC0415 -- --help does without attrs
    from bond_server.environment import apply_dotenv  # noqa: PLC0415 -- as above

    command: Any = added or importlib.import_module(COMMANDS[name][0])
    args = parser_for(name, command).parse_args(words)
    try:
        apply_dotenv(os.environ, Path.cwd())
        return int(command.run(args))
    except BondError as error:
        from bond_server.cli.colours import error_for  # noqa: PLC0415 -- as above

        said = render_error(error, text=getattr(args, "text", None), command=name)
        print(error_for(sys.stderr, said), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read us has enough (`| head`). Python would say so again when it flushes.
        sys.stdout = None
        return 0


def render_error(error: BondError, *, text: str | None = None, command: str = "") -> str:
    """Return an error as the terminal shows it.

        error[unknown_exchange]: I don't know the exchange "binanse"
          BTC price on binanse every 5s
                       ^^^^^^^ did you mean binance?
          try: bond listen "BTC price on binance every 5s"

    Args:
        error: What went wrong.
        text: The sentence that the problems' spans point into.
        command: The command that was run, for the last line.
    """
    from bond_server.error_catalogue.fixes import kind_of  # noqa: PLC0415 -- --help needs none
    from bond_server.language.problem_text import printable, quoted  # noqa: PLC0415 -- as above

    lines = [f"error[{error.code}]: {printable(error.detail)}"]
    shown = ""
    for problem in error.problems:
        if text is not None and problem.span is not None and shown != text:
            lines.append(f"  {printable(text)}")
            shown = text
        lines += _problem_lines(problem, text, error.detail)
    if error.fix:
        is_sentence = text is not None and kind_of(error.fix) == "sentence"
        lines.append(
            f"  try: bond {command} {quoted(error.fix)}" if is_sentence else f"  try: {error.fix}"
        )
    elif not error.problems:
        lines += _more(error.code)
    if hasattr(error, "proposal"):
        from bond_server.cli.proposed import proposal_lines  # noqa: PLC0415 -- as above

        lines += proposal_lines(error.proposal, command)
    return "\n".join(lines)


def _more(code: str) -> list[str]:
    from bond_server.error_catalogue.catalogue import entry_of  # noqa: PLC0415 -- as above

    return [f"  more: bond errors {code}"] if entry_of(code) else []


def _problem_lines(problem: Problem, text: str | None, said: str) -> list[str]:
    meant = ", ".join(problem.did_you_mean[:-1])
    meant += (" or " if meant else "") + "".join(problem.did_you_mean[-1:])
    hint = f" did you mean {meant}?" if meant else ""
    if text is not None and problem.span is not None:
        start, end = problem.span
        return [f"  {' ' * start}{'^' * max(1, end - start)}{hint}"]
    where = problem.pointer or problem.text or ""
    what = "" if problem.detail in said else f" {problem.detail}"
    line = f"  {where}:{what}{hint}" if where else f" {what}{hint}"
    return [line.rstrip(":").rstrip()] if what.strip() or hint else []


def _overview() -> str:
    width = max(map(len, COMMANDS)) + 2
    listed = "\n".join(f"  {name:<{width}}{says}" for name, (_, says) in COMMANDS.items())
    return (
        "usage: bond COMMAND …\n\n"
        "A sentence in, a live and time-aligned stream of market data out.\n\n"
        f"commands:\n{listed}\n\n"
        "Plugins may add commands: `bond plugins info NAME` says which.\n\n"
        f"{EXAMPLES}"
    )


def _unknown(word: str, added: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, [*COMMANDS, *added], n=1)
    hint = f"try: bond {near[0]}" if near else "bond --help lists them"
    return f"error[unknown_command]: there is no command {word!r}\n  {hint}"


class _Parser(argparse.ArgumentParser):
    """Says what an option that there isn't may have been meant for."""

    def error(self, message: str) -> NoReturn:
        """End with 2."""
        unknown = message.removeprefix("unrecognized arguments: ").split()
        is_unknown = message.startswith("unrecognized") and unknown[0].startswith("-")
        near = difflib.get_close_matches(unknown[0], list(_flags(self)), n=1) if is_unknown else []
        super().error(f"{message}\n  did you mean {near[0]}?" if near else message)


def _flags(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield every option of a parser, and of those inside it."""
    for action in parser._actions:  # noqa: SLF001 -- argparse has no other way to ask
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 -- as above
            for inner in action.choices.values():
                yield from _flags(inner)


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return what reads a command's arguments."""
    return parser_for(name, importlib.import_module(COMMANDS[name][0]))


def parser_for(name: str, command: Any) -> argparse.ArgumentParser:
    """Return what reads the arguments of a command that is there."""
    parser = _Parser(
        prog=f"bond {name}",
        description=command.HELP,
        epilog=getattr(command, "EXAMPLES", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    return parser
