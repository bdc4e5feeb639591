"""Everything about who may do what, made once from the settings and asked by every route."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs

from bond_core.clock import NS, Clock
from bond_core.errors import SetupError
from bond_server.auth.kept import kept
from bond_server.auth.keys import Keys, digest_of, key_file
from bond_server.auth.limits import Limiter, address_of
from bond_server.auth.listeners import Admission, Listeners
from bond_server.auth.presented import header_of, presented_token
from bond_server.auth.refusals import TooManyError
from bond_server.auth.registry import DAY_S, Registered, Registry
from bond_server.auth.tickets import TICKET_S, Tickets
from bond_server.auth.tokens import (
    REPLAY,
    SUBSCRIBE,
    TOKEN_SCOPES,
    Grant,
    Token,
    TokenError,
    Tokens,
    how_to_get_one,
)
from bond_server.settings import ServerSettings

PERSISTENT_S = 10 * 365 * DAY_S
"""How long a persistent token is good for, unless it is revoked."""

_FOLLOW_EVERY_S = 0.5
_WRITE_USES_EVERY_S = 60.0

_log = logging.getLogger("bond.server")


@attrs.frozen(kw_only=True)
class TokenRequest:
    """What kind of token is asked for.

    Attributes:
        version: 1: as it always was; 2: with a key id, scopes and a whole signature.
        persistent: Long-lived, and registered.
        label: What to call it in the list of registered tokens.
        scopes: What it shall let do; a token of version 1 always lets do everything.
        is_short: Good for a day at most, so that it need not be registered.
    """

    version: int = 1
    persistent: bool = False
    label: str | None = None
    scopes: frozenset[str] = TOKEN_SCOPES
    is_short: bool = False


class Access:
    """Keys, tokens, tickets, limits and origins of one server."""

    def __init__(self, settings: ServerSettings, clock: Clock) -> None:
        limits = settings.limits
        self.keys = Keys(key_file(settings.data_dir), settings.api_keys)
        self.tokens = Tokens(
            settings.secret, clock, ttl_s=settings.token_ttl_s,
            previous=settings.secret_previous,
            previous_until_s=settings.secret_previous_until_s,
        )  # fmt: skip
        self.registry = Registry(settings.data_dir, clock, most=limits.tokens)
        self.tickets = Tickets(clock)
        self.listeners = Listeners(limits)
        self.origins = settings.origins()
        self.reads = Limiter(limits.reads, clock)
        self.writes = Limiter(limits.writes, clock)
        self.connects = Limiter(limits.connects, clock)
        self.replays = asyncio.Semaphore(limits.replays)
        self._bad_tokens = Limiter(limits.bad_tokens, clock)
        self._clock = clock
        self._judged = (self.registry.generation, self.keys.generation)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow what other processes revoke, for as long as the context lasts."""
        following = asyncio.create_task(self._follow(), name="follow revoked tokens")
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait([following])
            with suppress(SetupError):  # it is only when tokens were used last
                await asyncio.to_thread(self.registry.write_uses)

    def admit(self, connection: Any, stream_id: str) -> Admission:
        """Return the right to listen to a stream that a connection's token gives.

        Raises:
            TokenError: The token opens nothing, or not this.
            TooManyError: `bad_tokens`: many such tokens came from this address;
                `connections`: the token or the address has all it may have.
            ServerFullError: The process has.
        """
        address = address_of(connection.scope.get("client"))
        kind, text = presented_token(connection)
        try:
            grant = self._verify(stream_id, kind, text)
            self._check_scopes(grant, connection)
        except TokenError as error:
            self._count_bad_token(address, stream_id, text, error)
            raise
        self.listeners.check(grant, address)
        self.registry.saw(grant)
        return Admission(grant, address, self.listeners, self._is_revoked)

    async def issue(
        self, stream_id: str, project: str, asked: TokenRequest | None = None
    ) -> tuple[Token, Registered | None]:
        """Return a fresh token for a stream, and its entry if it had to be registered.

        Raises:
            TooManyError: The stream has all the registered tokens it may have.
            StorageError: What has to be registered can't be kept.
        """
        asked = asked or TokenRequest()
        ttl_s = PERSISTENT_S if asked.persistent else None
        if asked.is_short:
            ttl_s = min(self.tokens.ttl_s, DAY_S)
        later_than_s = self.registry.later_than_s(stream_id)
        while True:
            if asked.version == 1:
                token = self.tokens.issue(stream_id, ttl_s=ttl_s, later_than_s=later_than_s)
            else:
                token = self.tokens.issue_second(
                    stream_id, project, scopes=asked.scopes, ttl_s=ttl_s, later_than_s=later_than_s
                )
            # Two of version 1 that expire in the same second are the same: a revoked one must
            # not be given again, nor one entry stand for two.
            later_than_s = token.expiry_s
            if self.registry.is_denied(token):
                continue
            if not self.registry.must_register(token):
                self.registry.gave(stream_id, token)
                return token, None
            entry = await kept(self.registry.register, stream_id, token, asked.label)
            if entry is not None:
                return token, entry

    def ticket(self, stream_id: str) -> tuple[str, int]:
        """Return a ticket, and for how many seconds it is good; its connection lasts as usual."""
        now_s = self._clock.now_ns() // NS
        later_than_s = self.registry.later_than_s(stream_id)
        expiry_s = max(now_s + min(self.tokens.ttl_s, DAY_S), later_than_s + 1)
        return self.tickets.issue(stream_id, expiry_s), TICKET_S

    async def revoke(self, stream_id: str, token_id: str) -> bool:
        """Let one token count no more, and end its listeners; whether there was such a token."""
        is_known = await kept(self.registry.revoke, stream_id, token_id)
        if is_known:
            _log.info("token %s of stream %s was revoked", token_id[:8], stream_id)
            self._end_revoked()
        return is_known

    async def revoke_all(self, stream_id: str) -> None:
        """Let no token of a stream count that was given until now, and end its listeners."""
        await kept(self.registry.revoke_all, stream_id, self.tokens.ttl_s)
        _log.info("all tokens of stream %s were revoked", stream_id)
        self._end_revoked()

    def _verify(self, stream_id: str, kind: str, text: str | None) -> Grant:
        self._end_revoked()
        if kind == "ticket" and text is not None:
            grant = self.tickets.redeem(stream_id, text)
        else:
            grant = self.tokens.verify(stream_id, text)
        self.registry.check(grant)
        return grant

    def _check_scopes(self, grant: Grant, connection: Any) -> None:
        query: Mapping[str, Any] = connection.query_params
        asks_for_past = (
            query.get("from") or query.get("after") or header_of(connection.scope, b"last-event-id")
        )
        wanted = {SUBSCRIBE, REPLAY} if asks_for_past else {SUBSCRIBE}
        if missing := sorted(wanted - grant.scopes):
            raise TokenError(
                f"The token has not the scope {missing[0]}",
                code="scope",
                fix=how_to_get_one(grant.stream_id),
            )

    def _count_bad_token(
        self, address: str, stream_id: str, text: str | None, error: TokenError
    ) -> None:
        wait_s = self._bad_tokens.take(address)
        if wait_s:
            rate = self._bad_tokens.rate
            count = rate.burst if rate else 0
            raise TooManyError(
                "Too many tokens from this address opened nothing",
                limit=count, used=count, retry_after_s=wait_s, code="bad_tokens",
            ) from None  # fmt: skip
        shown = "none" if text is None else digest_of(ascii(text))[:8]
        if text is not None and text.isascii():
            shown = digest_of(text)[:8]
        _log.info(
            "%s: a token for stream %s, sha256 %s, from %s", error.code,
            ascii(stream_id[:16]), shown, address,
        )  # fmt: skip

    def _end_revoked(self) -> None:
        """Take over what was revoked, here or elsewhere, and end whose token counts no more."""
        self.registry.follow()
        self.keys.follow()
        now = (self.registry.generation, self.keys.generation)
        if now == self._judged:
            return
        self._judged = now
        ended = self.listeners.end_over()
        if ended:
            _log.info("%d listeners of revoked tokens or keys were told to go", ended)

    def _is_revoked(self, grant: Grant) -> bool:
        try:
            self.registry.check(grant)
        except TokenError:
            return True
        return False

    async def _follow(self) -> None:
        """Look every half second for what another process wrote."""
        next_write_ns = self._clock.monotonic_ns()
        while True:
            await self._clock.sleep(_FOLLOW_EVERY_S)
            self._end_revoked()
            if self._clock.monotonic_ns() < next_write_ns:
                continue
            next_write_ns = self._clock.monotonic_ns() + round(_WRITE_USES_EVERY_S * NS)
            try:
                await asyncio.to_thread(self.registry.write_uses)
            except SetupError as error:
                _log.error("when tokens were used last is not kept: %s", error.detail)
