"""Run coroutines from code without asyncio: a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_STOP_S = 5.0


class LoopThread:
    """The thread; it runs until `stop()`, which the interpreter's end does, too.

    Args:
        name: What to call it in a list of threads.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        # A daemon, because a script may end without having left its loop; stop() still runs then.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start a task and return at once."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def result(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns, or raise what it raises. Ctrl-C cancels it."""
        future = self.begin(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def soon(self, do: Callable[[], Any]) -> None:
        """Call a function in the loop; not at all when that has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(do)

    def stop(self) -> None:
        """Cancel what runs and end the thread; returns when it has ended."""
        atexit.unregister(self.stop)
        self.soon(self._loop.stop)
        # The garbage collector may run this in the thread itself, which can't wait for its end.
        if threading.current_thread() is not self._thread:
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()  # leaving cancels all tasks and closes the loop
