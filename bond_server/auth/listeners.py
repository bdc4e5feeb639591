"""Who listens now, with which token and from where: to count them, and to end them in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from bond_core.errors import BondError
from bond_server.auth.limits import Limits
from bond_server.auth.refusals import TooManyError
from bond_server.auth.tokens import Grant

_LATER_S = 5.0


class ServerFullError(BondError):
    """The process has all the listeners it may have."""

    default_code = "full"
    retryable = True


class Admission:
    """The right of one connection to listen. Use as `with admission:` while it does.

    Args:
        is_over: Whether what it rests on counts no more.

    Attributes:
        grant: What its token gives.
        is_revoked: Whether its token counts no more.
    """

    def __init__(
        self, grant: Grant, address: str, listeners: Listeners, is_over: Callable[[Grant], bool]
    ) -> None:
        self.grant = grant
        self.address = address
        self._listeners = listeners
        self._is_over = is_over
        self.is_revoked = False
        self._calls: list[Callable[[], None]] = []

    def on_revoked(self, call: Callable[[], None]) -> None:
        """Have `call` called once when the token is revoked, at once if it has been."""
        if self.is_revoked:
            call()
        else:
            self._calls.append(call)

    def revoke(self) -> None:
        """Tell the connection that it must end."""
        self.is_revoked = True
        calls, self._calls = self._calls, []
        for call in calls:
            call()

    def is_over(self) -> bool:
        """Return whether the token or the key counts no more."""
        return self._is_over(self.grant)

    def __enter__(self) -> Self:
        """Be counted. Raises as `Listeners.check`: others may have come since it was asked."""
        self._listeners.check(self.grant, self.address)
        self._listeners.enter(self)
        if self.is_over():  # nobody told it while it was not counted
            self.revoke()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._listeners.leave(self)


class Listeners:
    """All that listen in this process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all: set[Admission] = set()
        self._by_token: Counter[str] = Counter()
        self._by_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._all)

    def check(self, grant: Grant, address: str) -> None:
        """Let pass whoever there is room for.

        Raises:
            TooManyError: `connections`: the token or the address has all that it may have.
            ServerFullError: The process has.
        """
        if len(self._all) >= self._limits.connections:
            raise ServerFullError(
                "This server has all the listeners it may have", fix="Connect again later"
            )
        for used, limit, whose in (
            (self._by_token[grant.digest], self._limits.per_token, "with one token"),
            (self._by_address[address], self._limits.per_address, "from one address"),
        ):
            if used >= limit:
                raise TooManyError(
                    f"{used} listeners {whose}, {limit} are allowed",
                    limit=limit, used=used, retry_after_s=_LATER_S, code="connections",
                )  # fmt: skip

    def enter(self, admission: Admission) -> None:
        """Count one."""
        self._all.add(admission)
        self._by_token[admission.grant.digest] += 1
        self._by_address[admission.address] += 1

    def leave(self, admission: Admission) -> None:
        """Count it no more."""
        self._all.discard(admission)
        for counter, key in (
            (self._by_token, admission.grant.digest), (self._by_address, admission.address),
        ):  # fmt: skip
            counter[key] -= 1
            if counter[key] <= 0:
                del counter[key]

    def end_over(self) -> int:
        """End every listener whose right is over; return how many."""
        judged: dict[str, bool] = {}
        over = []
        for admission in self._all:
            digest = admission.grant.digest
            if digest not in judged:
                judged[digest] = admission.is_over()
            if judged[digest]:
                over.append(admission)
        for admission in over:
            admission.revoke()
        return len(over)
