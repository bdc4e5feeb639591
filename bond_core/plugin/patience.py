"""Run what a plugin does when it registers where it can hold up nobody: in a thread, with an end.

A thread can't be stopped, so one that hangs is left to itself. Plugins still load one after
another, never two at once unless one hangs: Python's import locks are not made for more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE_S = 1.0
"""How long a plugin may take to register. Real seconds: it hangs where no clock reaches."""

AFTER_THAT = 20
"""Once one has hung, the others get so many times less each."""

AT_LAST_S = 0.3
"""How long those are waited for together, in the end, that were slower than that."""


class TooSlowError(Exception):
    """A plugin takes too long; the text says so, for people."""


class Attempt(Generic[T]):
    """Work that was begun in a thread of its own.

    Attributes:
        error: What it raised; None as long as it runs, and where it went well.
    """

    def __init__(self, work: Callable[[], T], *, name: str) -> None:
        self.error: BaseException | None = None
        self._work = work
        self._answers: list[T] = []
        self._over = threading.Event()
        threading.Thread(target=self._run, name=f"register {name}", daemon=True).start()

    @property
    def is_over_with_error(self) -> bool:
        """Whether it failed."""
        return self.error is not None

    def wait(self, seconds: float | None) -> bool:
        """Wait for its end, at most so long where that is said; whether it has come."""
        return self._over.wait(seconds)

    def result(self) -> T:
        """Return what came of it, or raise what it raised; after its end."""
        if self.error is not None:
            raise self.error
        return self._answers[0]

    def _run(self) -> None:
        try:
            self._answers.append(self._work())
        except BaseException as error:  # noqa: BLE001 -- sys.exit too; handed to who waits
            self.error = error
        finally:
            self._over.set()


def wait_together(attempts: Iterable[Attempt[T]], seconds: float) -> None:
    """Wait for the end of all of them, at most so long."""
    until_s = time.monotonic() + seconds
    for attempt in attempts:
        attempt.wait(max(0.0, until_s - time.monotonic()))


class Patience:
    """How long to wait for one plugin after another, in one round of loading."""

    def __init__(self, first_s: float = PATIENCE_S) -> None:
        self._first_s = self._left_s = first_s

    def wait(self, attempt: Attempt[T]) -> T:
        """Return what came of it, or raise what it raised.

        Raises:
            TooSlowError: It isn't over yet.
        """
        if not attempt.wait(self._left_s):
            self._left_s = self._first_s / AFTER_THAT
            raise TooSlowError(
                "it has not finished registering in time, and is left to itself; a rescan takes "
                "it in once it has"
            )
        return attempt.result()
