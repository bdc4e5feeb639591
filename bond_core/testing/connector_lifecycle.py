"""Checks 25 to 31: a connector starts, ends and starts again, leaves nothing, blocks nobody."""

from __future__ import annotations

import ast
import asyncio
import gc
import inspect
import sys
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bond_core.plugin.factories import load_class
from bond_core.settings import structure
from bond_core.testing.blocked import long_steps
from bond_core.testing.connector_base import ConnectorBase, known_by
from bond_core.testing.plugin_suite import skip
from bond_core.testing.stage import STOP_WITHIN_S, Stage
from bond_core.testing.virtual_clock import VirtualClock

BLOCKED_S = 0.05
"""Longer no single step may hold up the event loop, which all streams share."""

_MOST_POINTS = 200
_IDLE_POINTS = 8
_FDS = Path("/proc/self/fd")


class ConnectorLifecycle(ConnectorBase):
    """What holds for a connector's life."""

    def test_it_ends_when_told_to(self) -> None:
        """Check 25: cancelled, it lets CancelledError pass, within a second."""

        async def scenario(stage: Stage) -> Stage:
            await stage.until_said(self.expected())
            return stage

        stage = self.play(scenario)
        assert stage.stopped_s <= STOP_WITHIN_S, f"it took {stage.stopped_s:.1f} s to end"
        assert stage.ends[-1:] == ["cancelled"], (
            f"cancelled, it ended otherwise ({', '.join(stage.ends) or 'not at all'}): let "
            "CancelledError pass"
        )

    def test_it_leaves_nothing_behind(self) -> None:
        """Check 26: after its end no task, thread, connection, file or warning is left."""
        self.ordinary()  # what is loaded once stays
        before = _Belongings()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            stage = self._ordinary()
        left = [*stage.left, *before.left(), *stage.complaints]
        left += [str(w.message) for w in warned if "never awaited" in str(w.message)]

        assert not left, f"left behind: {'; '.join(left)}"
        source = stage.source
        assert source.opened == source.closed, f"{source.opened - source.closed} sockets are open"

    def test_it_may_be_cancelled_anywhere(self) -> None:
        """Check 27: wherever it waits when it is cancelled, it ends and leaves nothing."""
        self.ordinary()
        n_idle, before = 0, (0, 0, 0)
        points = range(5 if self.connector().capabilities.runs_in == "thread" else _MOST_POINTS)

        for turns in points:
            stage = self.run(partial(self._cancelled_after, turns))
            what = f"cancelled after {turns} steps"
            assert stage.stopped_s <= STOP_WITHIN_S, f"{what}, it does not end"
            assert not stage.left, f"{what}, it leaves {stage.left}"
            assert not stage.complaints, f"{what}: {stage.complaints[0]}"
            n_open = stage.source.opened - stage.source.closed
            assert not n_open, f"{what}, it leaves a connection open"
            came_to = (len(stage.emitted), len(stage.source.sent), stage.source.closed)
            n_idle, before = (n_idle + 1 if came_to == before else 0), came_to
            if n_idle > _IDLE_POINTS:
                break  # no more happens until time passes

    def test_no_generator_waits_for_its_reader_in_a_task_group(self) -> None:
        """Check 28: no async generator yields inside a TaskGroup or a timeout (PEP 789).

        What cancels the one in there would cancel whoever reads from it.
        """
        module = sys.modules.get(type(load_class(self.connector().factory)).__module__)
        module = inspect.getmodule(load_class(self.connector().factory)) or module
        try:
            source = inspect.getsource(module) if module else ""
        except (OSError, TypeError):
            skip("its source can't be read")
        found = list(_yields_in_scopes(ast.parse(source)))

        assert not found, f"a yield inside a task group or a timeout, in line {found[0]}"

    def test_two_of_it_share_nothing(self) -> None:
        """Check 29: two of it at the same time hear what each hears alone."""
        alone = [known_by(event) for event in self.ordinary().heard]

        async def go() -> list[Stage]:
            clock = VirtualClock()
            first, second = self.stage(clock=clock), self.stage(clock=clock)
            every_s = getattr(first.config, "every_s", 5.0) if self.is_poll() else 0.0
            async with first, second:
                await first.until(
                    lambda: min(len(first.heard), len(second.heard)) >= len(alone),
                    within_s=10 + every_s * (len(self.cassette) + 1),
                )
            return [first, second]

        for stage in self.run(go):
            heard = [known_by(event) for event in stage.heard]
            assert sorted(map(repr, heard)) == sorted(map(repr, alone)), (
                f"beside another it hears {len(heard)} events, alone {len(alone)}: what it keeps "
                "belongs to the object, not to the class or the module"
            )

    def test_it_is_built_for_nothing_and_started_twice(self) -> None:
        """Check 30: built, it has begun nothing; ended, the same object starts afresh."""
        self.ordinary()
        before = _Belongings()
        spec = self.connector()
        with self.environment():
            built = load_class(spec.factory)(config=structure(spec.config, self.settings()))
        left = before.left()
        del built
        assert not left, f"built and never run, it leaves {'; '.join(left)}"

        async def scenario(stage: Stage) -> None:
            await stage.until_said(self.expected())
            await stage.stop()
            n = len(stage.emitted)
            stage.source.go_on(self.later)
            stage.start()
            again = await stage.until(lambda: len(stage.emitted) > n)
            assert again, f"ended and started again, it says nothing; ends: {stage.ends}"

        self.play(scenario)

    def test_it_never_blocks_the_loop(self) -> None:
        """Check 31: no step of it holds up the event loop for more than 50 ms."""
        self.ordinary()  # what is imported once is imported now
        slow: list[str] = []
        for _ in range(5):  # the machine may be busy now and then
            slow = self._slow_steps()
            if not slow:
                return
        raise AssertionError(
            f"it blocks the event loop, which all streams share: {slow[0]}; wait with await, and "
            "call what blocks with asyncio.to_thread"
        )

    def _slow_steps(self) -> list[str]:
        async def scenario(stage: Stage) -> None:
            await stage.until_said(self.expected())

        with long_steps(BLOCKED_S) as slow:
            self.play(scenario)
        return slow

    async def _cancelled_after(self, turns: int) -> Stage:
        stage = self.stage()
        async with stage:
            for _ in range(turns):
                await asyncio.sleep(0.001 if stage.is_threaded else 0)
        return stage


class _Belongings:
    """What a process has open: threads and file descriptors."""

    def __init__(self) -> None:
        gc.collect()
        self._threads = set(threading.enumerate())
        self._files = _open_files()

    def left(self) -> list[str]:
        """Return what is open beside it."""
        gc.collect()
        for thread in set(threading.enumerate()) - self._threads:
            thread.join(STOP_WITHIN_S)
        threads = set(threading.enumerate()) - self._threads
        files = _open_files() - self._files
        return [
            *(f"the thread {thread.name}" for thread in threads),
            *(f"an open file or socket ({name})" for name in sorted(files)),
        ]


def _open_files() -> set[str]:
    if not _FDS.is_dir():
        return set()
    found = set()
    for entry in _FDS.iterdir():
        try:
            found.add(f"{entry.name} {entry.readlink()}")
        except OSError:  # the folder's own
            continue
    return found


def _yields_in_scopes(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of a `yield` in an async generator that stands in a cancel scope."""
    for function in ast.walk(tree):
        if isinstance(function, ast.AsyncFunctionDef) and not _makes_a_context(function):
            for scope in _own(function):
                if isinstance(scope, ast.AsyncWith) and any(map(_cancels, scope.items)):
                    yield from (n.lineno for n in _own(scope) if isinstance(n, ast.Yield))


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what belongs to a function itself, and not to one inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from _own(child)


def _cancels(item: ast.withitem) -> bool:
    called: Any = item.context_expr
    called = called.func if isinstance(called, ast.Call) else called
    name = getattr(called, "attr", None) or getattr(called, "id", "")
    return name in ("TaskGroup", "timeout", "timeout_at", "move_on_after", "fail_after")


def _makes_a_context(function: ast.AsyncFunctionDef) -> bool:
    names = (ast.unparse(each) for each in function.decorator_list)
    return any(name.endswith("asynccontextmanager") for name in names)
