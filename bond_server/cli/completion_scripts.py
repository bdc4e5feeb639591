"""Write what a shell needs to complete `bond`, in its own language."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from bond_server.cli.completion import Level, Option


def bash(levels: Sequence[Level]) -> str:
    """Return a script for bash 3.2 and newer."""
    return "\n".join([
        "_bond() {",
        '    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" at="" i',
        "    for ((i = 1; i < COMP_CWORD; i++)); do",
        *_descent(levels, '"$at ${COMP_WORDS[i]}"', "${COMP_WORDS[i]}"),
        "    done",
        '    case "$at $prev" in',
        *_values(levels, 'COMPREPLY=($(compgen -W "{}" -- "$cur")); return',
                 'COMPREPLY=($(compgen -f -- "$cur")); return', "COMPREPLY=(); return"),
        "    esac",
        '    local words=""',
        '    case "$at" in',
        *(f"        {_quoted(level.at)}) words={_quoted(' '.join(_words(level)))} ;;"
          for level in levels),
        "    esac",
        '    COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        "}",
        "complete -o bashdefault -o default -F _bond bond",
    ])  # fmt: skip


def zsh(levels: Sequence[Level]) -> str:
    """Return a script for zsh, which shows what each word does."""
    return "\n".join([
        "#compdef bond",
        "_bond() {",
        '    local prev="${words[CURRENT-1]}" at="" i',
        "    local -a found",
        "    for ((i = 2; i < CURRENT; i++)); do",
        *_descent(levels, '"$at ${words[i]}"', "${words[i]}"),
        "    done",
        '    case "$at $prev" in',
        *_values(levels, "compadd {}; return", "_files; return", "return"),
        "    esac",
        '    case "$at" in',
        *(f"        {_quoted(level.at)}) found=({' '.join(_described(level))}) ;;"
          for level in levels),
        "    esac",
        "    _describe bond found || _files",
        "}",
        "compdef _bond bond",
    ])  # fmt: skip


def fish(levels: Sequence[Level]) -> str:
    """Return a script for fish."""
    lines = []
    for level in levels:
        where = _quoted(_fish_condition(level))
        for name, says in level.children:
            lines.append(f"complete -c bond -f -n {where} -a {name} -d {_quoted(says)}")
        if level.values:
            values = _quoted(" ".join(level.values))
            lines.append(f"complete -c bond -f -n {where} -a {values}")
        lines += [f"complete -c bond -n {where} {_fish_option(o)}" for o in level.options]
    return "\n".join(lines)


SCRIPTS: Mapping[str, Callable[[Sequence[Level]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _descent(levels: Iterable[Level], asked: str, word: str) -> Iterator[str]:
    """Yield how the words before the cursor lead to a level."""
    known = "|".join(
        _quoted(f"{' '.join(level.words[:-1])} {level.words[-1]}")
        for level in levels
        if level.words
    )
    yield f"        case {asked} in"
    yield f'            {known}) at="${{at:+$at }}{word}" ;;'
    yield "        esac"


def _values(levels: Iterable[Level], chosen: str, a_file: str, free: str) -> Iterator[str]:
    """Yield what follows each option that takes a value."""
    for level in levels:
        for option in level.options:
            if not option.takes_value:
                continue
            after = "|".join(_quoted(f"{level.at} {flag}") for flag in option.flags)
            does = chosen.format(" ".join(option.choices)) if option.choices else free
            yield f"        {after}) {a_file if option.is_file else does} ;;"


def _words(level: Level) -> Iterator[str]:
    yield from (name for name, _ in level.children)
    yield from level.values
    yield from (_longest(option) for option in level.options)


def _described(level: Level) -> Iterator[str]:
    """Yield `word:what it does`, as zsh's _describe takes it."""
    for name, says in level.children:
        yield _quoted(f"{name}:{_plain(says)}")
    yield from map(_quoted, level.values)
    for option in level.options:
        yield _quoted(f"{_longest(option)}:{_plain(option.says)}")


def _fish_condition(level: Level) -> str:
    if not level.words:
        return "__fish_use_subcommand"
    seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in level.words)
    if not level.children:
        return seen
    deeper = " ".join(name for name, _ in level.children)
    return f"{seen}; and not __fish_seen_subcommand_from {deeper}"


def _fish_option(option: Option) -> str:
    said = [f"-l {f[2:]}" if f.startswith("--") else f"-s {f[1:]}" for f in option.flags]
    if option.choices:
        said.append(f"-x -a {_quoted(' '.join(option.choices))}")
    elif option.takes_value:
        said.append("-r" if option.is_file else "-x")
    return " ".join([*said, f"-d {_quoted(option.says)}"])


def _longest(option: Option) -> str:
    return max(option.flags, key=len)


def _plain(text: str) -> str:
    return text.replace("\\", "").replace(":", " -")


def _quoted(text: str) -> str:
    """Return a text as all three shells take it for one word."""
    return f'"{text}"' if not set(text) & set("\"'$`\\!") else shlex.quote(text)
