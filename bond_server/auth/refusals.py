"""Errors of who may do what: each says what is missing and how to get it."""

from __future__ import annotations

from bond_core.errors import LimitError, RequestError


class AccessError(RequestError):
    """The caller is not known, or may not do this.

    Codes: `key_missing`, `key_invalid`, `scope`, `origin`, `host`.
    """

    default_code = "key_missing"


class TooManyError(LimitError):
    """More requests, connections or tokens than allowed; fewer of them, or later, are.

    Attributes:
        retry_after_s: After how long it is worth trying again, in seconds.
    """

    default_code = "rate"

    def __init__(
        self, detail: str, *, limit: int, used: int, retry_after_s: float, code: str = "rate"
    ) -> None:
        super().__init__(detail, limit=limit, used=used, fix="Send it again after Retry-After")
        self.code = code
        self.retry_after_s = retry_after_s


def key_missing() -> AccessError:
    """Return what a call without a key is told."""
    return AccessError(
        "This server asks for an API key, and the request has none",
        code="key_missing",
        fix="Authorization: Bearer bk_… (`bond keys new` makes one)",
    )


def key_invalid() -> AccessError:
    """Return what a call with a key is told that is none here, or no more."""
    return AccessError(
        "The API key is not, or no longer, one of this server's",
        code="key_invalid",
        fix="Authorization: Bearer bk_… (`bond keys new` makes one)",
    )


def scope_missing(scope: str, has: frozenset[str]) -> AccessError:
    """Return what a call with a good key is told that may not do this."""
    return AccessError(
        f"This takes the scope {scope}; the key has {', '.join(sorted(has)) or 'none'}",
        code="scope",
        fix=f"bond keys new --scopes {','.join(sorted(has | {scope}))}",
    )


def bad_origin() -> AccessError:
    """Return what a page is told whose origin may not do this."""
    return AccessError(
        "Pages of that origin may not do this; BOND_ALLOWED_ORIGINS lists which may",
        code="origin",
        fix="BOND_ALLOWED_ORIGINS=https://app.example.com",
    )
