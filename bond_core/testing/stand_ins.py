"""What stands in for a vendor's library: lent to a connector, so that a test may break it."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

_PLAIN = (str, bytes, int, float, bool, list, tuple, dict, set, frozenset, types.NoneType)


class StandIns:
    """What a library's stand-ins made for one connector.

    Attributes:
        made: Clients, in the order in which they were made.
        refusal: Raised in place of making one; None makes it.
    """

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.refusal: Callable[[], Exception] | None = None


class Lent:
    """A factory of clients, or a module that has such, as it is; but what it makes is noted."""

    def __init__(self, what: Any, stand_ins: StandIns) -> None:
        self._what = what
        self._stand_ins = stand_ins

    def __getattr__(self, name: str) -> Any:
        """Give what the library has there, lent as well where it makes clients."""
        found = getattr(self._what, name)
        makes_clients = inspect.isclass(found) and not issubclass(found, BaseException)
        return Lent(found, self._stand_ins) if makes_clients else found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make a client, or refuse to."""
        if self._stand_ins.refusal is not None:
            raise self._stand_ins.refusal()
        made = self._what(*args, **kwargs)
        if not isinstance(made, _PLAIN):
            self._stand_ins.made.append(made)
        return made
