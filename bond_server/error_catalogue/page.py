"""Write docs/errors.md from the catalogue: `python -m bond_server.error_catalogue.page`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from bond_server.error_catalogue.catalogue import GROUPS
from bond_server.error_catalogue.entry import Entry, Group

_HEAD = """\
# Errors

Every error has a code: a stable word, the same in an HTTP answer (`code` of RFC 9457's \
`application/problem+json`), in the reason of a WebSocket close, in the SDK's exceptions (`code`) \
and on the command line (`error[code]`). `bond errors CODE` prints what stands here, and a server \
answers `GET /v1/errors/CODE`, which is the link `docs` of each problem.

`fix` in an answer is an input that works, as near to what was asked as could be found; below \
stands the one that is given where none is nearer. *Again* says whether the same may work later, \
unchanged (`retryable`). This page is made from the catalogue in `bond_server/error_catalogue`.
"""

_TITLES: dict[Group, str] = {
    "asking": "What was asked",
    "access": "Who asks",
    "serving": "Requests, streams and connections",
    "sources": "Sources and sinks",
    "setup": "The installation",
    "commands": "The command line",
}

_SDK = {
    400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError",
    404: "NotFoundError", 409: "ConflictError", 413: "BadRequestError", 422: "BadRequestError",
    429: "RateLimitError",
}  # fmt: skip


def sdk_exception(status: int) -> str:
    """Return which exception of the SDK an HTTP status becomes."""
    return _SDK.get(status, "ServerError" if status >= 500 else "APIError")


def page() -> str:
    """Return the page, as Markdown."""
    return "\n".join([_HEAD, *_sections()])


def described(entry: Entry) -> str:
    """Return where an error shows: `HTTP 429 (RateLimitError) · WebSocket 4429 · again`."""
    said = []
    if entry.status is not None:
        said.append(f"HTTP {entry.status} ({sdk_exception(entry.status)})")
    if entry.close is not None:
        said.append(f"WebSocket {entry.close}")
    if not said:
        said.append("command line and logs only")
    if entry.again:
        said.append("again")
    return " · ".join(said)


def _sections() -> Iterator[str]:
    for group, entries in GROUPS.items():
        yield f"## {_TITLES[group]}\n"
        for entry in sorted(entries, key=lambda entry: entry.code):
            yield f"### `{entry.code}`\n"
            yield f"{entry.cause} {entry.remedy}\n"
            yield f"{described(entry)}\n"
            if entry.fix is not None:
                yield f"```text\n{entry.fix}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(page())
