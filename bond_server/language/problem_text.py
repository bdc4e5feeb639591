"""Write an error for a terminal: the words at fault underlined, and a command that works.

error[unknown_exchange]: I don't know the exchange "binanse"
BTC price on binanse every 5s
^^^^^^^ did you mean binance?
try: bond listen "BTC price on binance every 5s"
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from bond_core.errors import Problem, RequestError

_LONGEST_LINE = 500


def render_error(error: RequestError, text: str, command: str = "bond listen") -> str:
    """Return the error about a sentence as lines for a terminal.

    Args:
        error: What `understand` raised.
        text: The sentence it is about.
        command: What was called with it, and what the fix is shown with.
    """
    lines = [f"error[{error.code}]: {printable(error.detail)}"]
    for n, problem in enumerate(error.problems):
        if n:
            lines.append(f"  {printable(problem.detail)}")
        lines += _underlined(problem, text)
    if error.fix:
        lines.append(f"  try: {command} {quoted(error.fix)}")
    return "\n".join(lines)


def _underlined(problem: Problem, text: str) -> Iterator[str]:
    near = f" did you mean {_listed(problem.did_you_mean)}?" if problem.did_you_mean else ""
    if problem.span is None or len(text) > _LONGEST_LINE:
        return
    start, end = problem.span
    yield f"  {printable(text)}"
    yield f"  {' ' * start}{'^' * max(1, end - start)}{printable(near)}"


def _listed(choices: Sequence[str]) -> str:
    *first, last = choices
    return f"{', '.join(first)} or {last}" if first else last


def printable(text: str) -> str:
    """Return the text with what would move a terminal's cursor as spaces, place by place."""
    return "".join(c if c.isprintable() else " " for c in text)


def quoted(text: str) -> str:
    """Return the text as a shell takes it for one argument, in double quotes if that is enough."""
    if set(text) & set('"$`\\!\n'):
        return shlex.quote(text)
    return f'"{text}"'
