"""What is known of tokens that were given out: which are registered, and which count no more.

* A token with more than 24 h left is accepted only if it is registered here; one that is
  given for longer is registered then. So none lives long that can't be listed and revoked.
* A revoked token is denied until it would have expired.
* "Revoke all" of a stream denies its registered tokens, and every other by its expiry: none
  that was given before expires later than the mark set then, and every new one does.

All of it is one file in the data directory, `tokens.json`; tokens stand there as SHA-256 only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from bond_core.clock import NS, Clock
from bond_core.errors import SetupError
from bond_server.auth.kept import KeptFile
from bond_server.auth.keys import digest_of
from bond_server.auth.refusals import TooManyError
from bond_server.auth.tokens import LEEWAY_S, Grant, Token, TokenError, how_to_get_one

DAY_S = 86_400
FILE_NAME = "tokens.json"
ID_LENGTH = 16
_UNREADABLE_S = 60
"""How long registered tokens count while the file can't be read."""

_log = logging.getLogger("bond.server")


@attrs.frozen(kw_only=True)
class Registered:
    """A long-lived token.

    Attributes:
        token_id: First 16 hex digits of its digest.
        digest: SHA-256 of the token, as 64 hex digits.
        stream_id: What it opens.
        expiry_s: Until when, in Unix seconds.
        created_s: Since when, in Unix seconds.
        label: What its owner calls it.
        last_used_s: When it last opened a connection, to the minute; None for never.
    """

    token_id: str
    digest: str = attrs.field(repr=False)
    stream_id: str
    expiry_s: int
    created_s: int
    label: str | None = None
    last_used_s: int | None = None


@attrs.define(kw_only=True)
class TokenRecords:
    """What the file holds: registered tokens by id, denied digests and streams' marks."""

    version: int = 1
    registered: dict[str, Registered] = attrs.field(factory=dict)
    denied: dict[str, int] = attrs.field(factory=dict)
    newest_revoked: dict[str, int] = attrs.field(factory=dict)


class Registry:
    """The records, as one process sees them. What changes them blocks: call it in a thread.

    Args:
        data_dir: Where the file is, or will be.
        clock: The only clock.
        most: How many tokens one stream may have registered.

    Attributes:
        generation: Counts the changes that were taken over.
    """

    def __init__(self, data_dir: Path, clock: Clock, *, most: int = 1_000) -> None:
        self._file = KeptFile(data_dir / FILE_NAME, TokenRecords)
        self._clock = clock
        self._most = most
        self._records = self._file.read()
        self.generation = 0
        self._unreadable_since_s: int | None = None
        self._used: dict[str, int] = {}
        self._newest_seen: dict[str, int] = {}

    def follow(self) -> None:
        """Take over what was written, by this process or another. One call of stat."""
        if not self._file.has_changed():
            return
        self.generation += 1
        try:
            self._records = self._file.read()
            self._unreadable_since_s = None
        except SetupError as error:
            if self._unreadable_since_s is None:
                _log.error("%s; what was known so far stays in force", error.detail)
                self._unreadable_since_s = self._now_s()

    def check(self, grant: Grant) -> None:
        """Let pass what counts, by what `follow` took over last.

        Raises:
            TokenError: `token_revoked`: it counts no more, or was never registered.
        """
        now_s = self._now_s()
        records, found = self._records, self._records.registered.get(grant.digest[:ID_LENGTH])
        is_denied = grant.digest in records.denied or (
            found is None and grant.expiry_s <= records.newest_revoked.get(grant.stream_id, 0)
        )
        is_long = grant.expiry_s - now_s > DAY_S + LEEWAY_S
        since_s = self._unreadable_since_s
        is_blind = since_s is not None and now_s - since_s > _UNREADABLE_S
        if is_denied or (is_long and (found is None or is_blind)):
            raise TokenError(
                "The token was revoked, or is for longer than 24 hours and not registered",
                code="token_revoked",
                fix=how_to_get_one(grant.stream_id),
            )

    def saw(self, grant: Grant) -> None:
        """Note that a token opened a connection."""
        token_id = grant.digest[:ID_LENGTH]
        if token_id in self._records.registered:
            self._used[token_id] = self._now_s()
        else:
            self._note_expiry(grant.stream_id, grant.expiry_s)

    def later_than_s(self, stream_id: str) -> int:
        """Return what the expiry of a new token must be later than, in Unix seconds."""
        self.follow()
        return self._records.newest_revoked.get(stream_id, 0)

    def gave(self, stream_id: str, token: Token) -> None:
        """Note that a token was given, which is not registered."""
        self._note_expiry(stream_id, token.expiry_s)

    def must_register(self, token: Token) -> bool:
        """Return whether a token is too long-lived to be given without a trace."""
        return token.expiry_s - self._now_s() > DAY_S

    def is_denied(self, token: Token) -> bool:
        """Return whether a token was revoked."""
        return digest_of(token.text) in self._records.denied

    def register(self, stream_id: str, token: Token, label: str | None) -> Registered | None:
        """Register a token and return its entry; None if it is known already.

        Raises:
            TooManyError: The stream has all the registered tokens it may have.
            SetupError: The file can't be written.
        """
        digest = digest_of(token.text)
        entry = Registered(
            token_id=digest[:ID_LENGTH], digest=digest, stream_id=stream_id,
            expiry_s=token.expiry_s, created_s=self._now_s(), label=label,
        )  # fmt: skip
        with self._change() as records:
            if entry.token_id in records.registered or digest in records.denied:
                return None
            used = sum(t.stream_id == stream_id for t in records.registered.values())
            if used >= self._most:
                raise TooManyError(
                    f"{used} tokens of this stream are registered, {self._most} are allowed; "
                    f"revoke one: DELETE /v1/streams/{stream_id}/tokens/{{token_id}}",
                    limit=self._most, used=used, retry_after_s=60, code="tokens",
                )  # fmt: skip
            records.registered[entry.token_id] = entry
        return entry

    def registered(self, stream_id: str) -> list[Registered]:
        """Return a stream's registered tokens, the oldest first."""
        self.follow()
        found = [
            attrs.evolve(entry, last_used_s=self._used.get(entry.token_id, entry.last_used_s))
            for entry in self._records.registered.values()
            if entry.stream_id == stream_id and entry.expiry_s + LEEWAY_S >= self._now_s()
        ]
        return sorted(found, key=lambda entry: (entry.created_s, entry.token_id))

    def revoke(self, stream_id: str, token_id: str) -> bool:
        """Let one token count no more; whether it is known.

        Args:
            stream_id: Its stream.
            token_id: Of a registered one; or the whole SHA-256 of any token, 64 hex digits:
                such a one is denied whether it was ever given or not.
        """
        is_digest = len(token_id) == 64
        with self._change() as records:
            found = records.registered.get(token_id[:ID_LENGTH])
            if found is not None and found.stream_id != stream_id:
                return False
            if found is not None and (not is_digest or found.digest == token_id):
                del records.registered[found.token_id]
                records.denied[found.digest] = found.expiry_s + LEEWAY_S
                return True
            if is_digest:
                records.denied[token_id] = self._now_s() + DAY_S + LEEWAY_S
        return is_digest

    def revoke_all(self, stream_id: str, ttl_s: int) -> None:
        """Let no token count that was given for this stream until now."""
        with self._change() as records:
            for entry in list(records.registered.values()):
                if entry.stream_id == stream_id:
                    del records.registered[entry.token_id]
                    records.denied[entry.digest] = entry.expiry_s + LEEWAY_S
            now_s = self._now_s()
            newest_s = max(now_s + ttl_s, self._newest_seen.get(stream_id, 0))
            records.newest_revoked[stream_id] = max(
                min(newest_s, now_s + DAY_S),  # what lives longer is registered
                records.newest_revoked.get(stream_id, 0),
            )

    def write_uses(self) -> None:
        """Keep when registered tokens were last used."""
        used, self._used = self._used, {}
        if not used:
            return
        with self._change() as records:
            for token_id, at_s in used.items():
                entry = records.registered.get(token_id)
                if entry is not None:
                    records.registered[token_id] = attrs.evolve(entry, last_used_s=at_s)

    @contextmanager
    def _change(self) -> Iterator[TokenRecords]:
        """Give the records to be changed, without those whose time is over."""
        now_s = self._now_s()
        with self._file.change() as records:
            records.registered = {
                token_id: entry
                for token_id, entry in records.registered.items()
                if entry.expiry_s + LEEWAY_S >= now_s
            }
            records.denied = {d: until for d, until in records.denied.items() if until >= now_s}
            records.newest_revoked = {
                s: until for s, until in records.newest_revoked.items() if until + LEEWAY_S >= now_s
            }
            yield records

    def _note_expiry(self, stream_id: str, expiry_s: int) -> None:
        if expiry_s - self._now_s() > DAY_S:
            return  # a registered one, which has an entry of its own
        if len(self._newest_seen) > 10_000:
            now_s = self._now_s()
            self._newest_seen = {s: e for s, e in self._newest_seen.items() if e >= now_s}
        self._newest_seen[stream_id] = max(expiry_s, self._newest_seen.get(stream_id, 0))

    def _now_s(self) -> int:
        return self._clock.now_ns() // NS
