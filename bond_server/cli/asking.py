"""Ask a server one thing over HTTP, for the commands that say what streams it has."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from bond_core.errors import BondError
from bond_server.cli.remote import ServerError, is_here, problem_of

DEFAULT_URL = "http://localhost:8000"


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which server, and how its answer is printed."""
    parser.add_argument(
        "--url", metavar="URL",
        help=f"the server (EKKO_API_URL, else {DEFAULT_URL}); its key is read from EKKO_API_KEY",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def ask(url: str | None, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """Return what a server answers, None where it has nothing to say.

    Args:
        url: The server's base URL; None for the environment's.
        method: Of HTTP.
        path: What is asked for there.
        body: Sent as JSON.

    Raises:
        BondError: It refuses, as it says why; or nobody answers there.
    """
    base = (url or os.environ.get("EKKO_API_URL") or DEFAULT_URL).rstrip("/")
    key = os.environ.get("EKKO_API_KEY")
    try:
        with httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=20.0, trust_env=not is_here(base),
        ) as client:  # fmt: skip
            answer = client.request(method, base + path, json=body)
            said = answer.json() if answer.content else None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        detail = f"no answer from {base}: {why}"
        raise ServerError(detail, code="no_server", fix="bond serve") from error
    except ValueError:
        raise _stranger(base) from None
    if answer.is_error:
        if not isinstance(said, dict):
            raise _stranger(base)
        raise problem_of(said, answer.status_code)
    return said


def stream_path(stream_id: str) -> str:
    """Return the path of a stream, whatever was typed for its id."""
    return f"/v1/streams/{quote(stream_id, safe='')}"


def _stranger(base: str) -> BondError:
    detail = f"{base} answers, but not as a Bond server does"
    return ServerError(detail, code="no_server", fix="bond serve")
