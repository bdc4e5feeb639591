"""API keys: who holds one may do in one project what the key's scopes say.

    bk_{id}_{secret}       id: 4 to 16 of a-z0-9; secret: 43 of A-Za-z0-9_- (256 random bits)

Only the SHA-256 of the whole text is kept. Keys come from a file in the data directory, which
`bond keys` writes and a running server follows, and from BOND_API_KEYS:

    BOND_API_KEYS = ENTRY[,ENTRY…]
    ENTRY         = KEY[@PROJECT][:SCOPE[+SCOPE…]]
    KEY           = bk_{id}_{secret} | bk_{id}_sha256-{64 hex digits}
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from bond_core.errors import Problem, RequestError, SetupError
from bond_core.settings import SettingsError
from bond_server.auth.kept import KeptFile

SCOPES = {
    "streams:read": "list and show streams, explain, list sources and plugins",
    "streams:write": "create streams, and get the token that comes with one",
    "streams:delete": "delete streams",
    "tokens:mint": "get tokens and tickets, list and revoke them",
    "metrics:read": "read metrics",
    "admin": "all of it",
}
USUAL_SCOPES = frozenset(SCOPES) - {"admin"}
LOCAL_PROJECT = "local"
"""The project where no key says another."""

FILE_NAME = "keys.json"
PREFIX = "bk_"

_KEY = re.compile(r"bk_([a-z0-9]{4,16})_([A-Za-z0-9_-]{43})")
_HASHED = re.compile(r"bk_([a-z0-9]{4,16})_sha256-([0-9a-f]{64})")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ENTRY = re.compile(r"([^@:]+)(?:@([^:]*))?(?::(.*))?")
_NOBODYS = "0" * 64

_log = logging.getLogger("bond.server")


@attrs.frozen(kw_only=True)
class ApiKey:
    """A key as it is kept; what its holder presents can't be had from it.

    Attributes:
        key_id: The part that may be shown.
        digest: SHA-256 of the key's text, as 64 hex digits.
        project: Whose streams it reaches.
        scopes: What it may do, of SCOPES.
        label: What its owner calls it.
        created_s: When it was made, in Unix seconds; None for one from the environment.
        revoked_s: Since when it counts no more; None while it does.
    """

    key_id: str
    digest: str = attrs.field(repr=False)
    project: str = LOCAL_PROJECT
    scopes: frozenset[str] = USUAL_SCOPES
    label: str | None = None
    created_s: int | None = None
    revoked_s: int | None = None

    def may(self, scope: str) -> bool:
        """Return whether the key may do what takes this scope."""
        return scope in self.scopes or "admin" in self.scopes


@attrs.define(kw_only=True)
class KeyRecords:
    """What the file holds: keys by id, revoked ones too, so that none is ever given twice."""

    version: int = 1
    keys: dict[str, ApiKey] = attrs.field(factory=dict)


class Keys:
    """The keys of a server: those it was started with, and those of its file as it is now.

    Once there is a key, calls are asked for one as long as the process lives, even if all of
    them are revoked or the file is gone: a revoked key must not open the door for everybody.
    """

    def __init__(self, file: KeptFile[KeyRecords], given: Sequence[ApiKey] = ()) -> None:
        self._file = file
        self._given = {key.key_id: key for key in given}
        self._asked = bool(given)
        self._kept = file.read()
        self.generation = 0
        """Changes whenever other keys may count."""

    @property
    def are_asked_for(self) -> bool:
        """Whether a guarded call needs a key."""
        self.follow()
        self._asked = self._asked or bool(self._kept.keys)
        return self._asked

    def find(self, text: str) -> ApiKey | None:
        """Return the key that somebody presents; None if it is none, or counts no more."""
        self.follow()
        parts = _KEY.fullmatch(text)
        if parts is None:
            return None
        found = self._given.get(parts[1]) or self._kept.keys.get(parts[1])
        is_it = hmac.compare_digest(digest_of(text), found.digest if found else _NOBODYS)
        return found if is_it and found and found.revoked_s is None else None

    def holds(self, digest: str) -> bool:
        """Return whether a key with this digest counts."""
        self.follow()
        known = (*self._given.values(), *self._kept.keys.values())
        return any(key.digest == digest and key.revoked_s is None for key in known)

    def follow(self) -> None:
        """Take over what the file says now."""
        if not self._file.has_changed():
            return
        try:
            self._kept = self._file.read()
            self.generation += 1
        except SetupError as error:  # what was known stays: nobody gets in by damaging the file
            _log.error("%s; the keys known so far stay in force", error.detail)


def key_file(data_dir: Path) -> KeptFile[KeyRecords]:
    """Return the file in which keys are kept."""
    return KeptFile(data_dir / FILE_NAME, KeyRecords)


def digest_of(text: str) -> str:
    """Return the SHA-256 under which a key or token is kept, as 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def make_key(
    file: KeptFile[KeyRecords], *, project: str, scopes: Iterable[str], label: str | None,
    now_s: int,
) -> tuple[str, ApiKey]:  # fmt: skip
    """Make a key and keep it; return its text, which nobody can say again, and the key.

    Raises:
        RequestError: The project or a scope makes no sense.
        SetupError: The file can't be written.
    """
    checked_project, checked_scopes = _check(project, scopes)
    with file.change() as body:
        key_id = _fresh_id(body.keys)
        text = f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        key = ApiKey(
            key_id=key_id, digest=digest_of(text), project=checked_project,
            scopes=checked_scopes, label=label, created_s=now_s,
        )  # fmt: skip
        body.keys[key_id] = key
    return text, key


def revoke_key(file: KeptFile[KeyRecords], key_id: str, *, now_s: int) -> ApiKey:
    """Let a key count no more, from the next call on; return it.

    Raises:
        RequestError: There is no such key in the file.
    """
    with file.change() as body:
        key = body.keys.get(key_id.removeprefix(PREFIX).partition("_")[0])
        if key is None:
            raise RequestError(
                f"There is no key {key_id[:20]!r} in {file.path}", fix="bond keys list"
            )
        if key.revoked_s is None:
            key = attrs.evolve(key, revoked_s=now_s)
            body.keys[key.key_id] = key
    return key


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """Return the keys that BOND_API_KEYS names.

    Raises:
        SettingsError: An entry makes no sense; it says which, and never shows it.
    """
    found: dict[str, ApiKey] = {}
    for number, entry in enumerate(filter(None, re.split(r"[,\s]+", text)), 1):
        try:
            key = _parse_entry(entry)
        except RequestError as error:
            raise _bad_entry(number, error.detail) from None
        if found.setdefault(key.key_id, key) is not key:
            raise _bad_entry(number, f"repeats the id {key.key_id}")
    return tuple(found.values())


def _parse_entry(entry: str) -> ApiKey:
    parts = _ENTRY.fullmatch(entry)
    written, project, scopes = parts.groups() if parts else ("", None, None)
    plain, hashed = _KEY.fullmatch(written), _HASHED.fullmatch(written)
    if plain:
        key_id, digest = plain[1], digest_of(written)
    elif hashed:
        key_id, digest = hashed[1], hashed[2]
    else:
        raise RequestError("is no key: `bond keys new` makes one")
    checked = _check(
        LOCAL_PROJECT if project is None else project,
        USUAL_SCOPES if scopes is None else scopes.split("+"),
    )
    return ApiKey(key_id=key_id, digest=digest, project=checked[0], scopes=checked[1])


def _check(project: str, scopes: Iterable[str]) -> tuple[str, frozenset[str]]:
    if not _PROJECT.fullmatch(project):
        raise RequestError(
            f"{project[:40]!r} is no project's name: up to 64 of a-z 0-9 . _ -, a letter or "
            "digit first"
        )
    asked = frozenset(scopes)
    if unknown := sorted(asked - set(SCOPES)):
        raise RequestError(f"unknown scope {unknown[0][:40]!r}; there are {', '.join(SCOPES)}")
    if not asked:
        raise RequestError(f"a key without scopes may do nothing; there are {', '.join(SCOPES)}")
    return project, asked


def _fresh_id(taken: Mapping[str, ApiKey]) -> str:
    while (key_id := secrets.token_hex(4)) in taken:
        pass
    return key_id


def _bad_entry(number: int, detail: str) -> SettingsError:
    problem = Problem(pointer="BOND_API_KEYS", detail=f"entry {number} {detail}")
    return SettingsError(f"BOND_API_KEYS: entry {number} {detail}", problems=[problem])
