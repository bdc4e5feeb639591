"""Look one keyword up at Google Trends, through trendspyg and without its browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import attrs

from bond_core.clock import NS
from bond_core.plugin import Fatal, Retryable, plain

TIMEFRAME = "now 7-d"
"""Interest by the hour, on a scale of 0 to 100 of the week's most."""

MOST_RISING = 5

REFUSED_PAUSE_S = 1800.0
CHANGED_PAUSE_S = 3600.0
AWAY_PAUSE_S = 300.0

_HOST = "https://trends.google.com"
_ONE = threading.Lock()
"""Lookups come one after the other: what trendspyg knows of Google is one for the process."""


@attrs.frozen
class Libraries:
    """What is asked with: `trendspyg`, its HTTP engine (`.explore._http`), and `requests`."""

    trendspyg: Any
    http: Any
    requests: Any


@attrs.frozen
class Answer:
    """What Google says of a keyword.

    Attributes:
        ts: Start of the newest hour that is over, ns.
        value: Its interest, 0 to 100.
        rising: What is searched for more and more beside it, the steepest first.
    """

    ts: int
    value: float
    rising: str | None


def look_up(keyword: str, libraries: Libraries, simulated_at: str | None) -> Answer | None:
    """Return what Google says; None where it knows nothing. It blocks: call it in a thread.

    Raises:
        Retryable: Google refuses, is away, or answers with something else.
        Fatal: The keyword can't be looked up.
    """
    library = libraries.trendspyg
    with _ONE, _asking(simulated_at, libraries):
        try:
            envelope = library.download_google_trends_explore(
                keyword, geo="", timeframe=TIMEFRAME, include_geo=False, engine="http"
            )
        except library.RateLimitError as error:
            raise Retryable(
                f"Google Trends refuses for now: {error}", retry_after_s=REFUSED_PAUSE_S
            ) from None
        except library.ParseError:
            raise Retryable(
                "Google Trends answers with a page and no data: it may ask for consent",
                retry_after_s=CHANGED_PAUSE_S,
            ) from None
        except library.DownloadError as error:
            raise Retryable(
                f"Google Trends can't be had: {error}", retry_after_s=AWAY_PAUSE_S
            ) from None
        except library.InvalidParameterError as error:
            raise Fatal(f"Google Trends can't look {keyword!r} up: {error}") from None
    return _newest(envelope)


def _newest(envelope: Mapping[str, Any]) -> Answer | None:
    if envelope.get("is_empty"):
        return None
    over = [p for p in envelope["interest_over_time"] if not p["is_partial"] and p["date"]]
    if not over:
        return None
    rows = (envelope.get("related_queries") or {}).get("rising") or []
    rising = ", ".join(plain(str(row["query"])) for row in rows[:MOST_RISING])
    ts = round(datetime.fromisoformat(over[-1]["date"]).timestamp()) * NS
    return Answer(ts, float(over[-1]["value"]), rising or None)


@contextmanager
def _asking(simulated_at: str | None, libraries: Libraries) -> Iterator[None]:
    """Let the library ask a simulator, if there is one, and forget that it did.

    It has Google's address in its code. Here it makes a session anew, which goes elsewhere, and
    is given back what it knew of Google afterwards. Of no public interface: a new minor version
    of trendspyg is tried before it is allowed.
    """
    if simulated_at is None:
        yield
        return
    http = libraries.http
    known = {name: getattr(http, name) for name in ("requests", "_session", "_paused_until")}
    made = _sessions(libraries.requests, simulated_at)
    http.requests, http._session, http._paused_until = made, None, 0.0  # noqa: SLF001
    try:
        yield
    finally:
        if http._session is not None:  # noqa: SLF001
            http._session.close()  # noqa: SLF001
        for name, value in known.items():
            setattr(http, name, value)


def _sessions(requests: Any, base: str) -> Any:
    """Return what stands for `requests`: its sessions send to the same path at another address."""
    here = urlsplit(base)

    class Rerouted(requests.adapters.HTTPAdapter):  # type: ignore[misc]  # known when it runs
        def send(self, request: Any, *args: Any, **rest: Any) -> Any:
            sent = request.copy()  # the session goes by what it asked, for cookies too
            there = urlsplit(request.url)._replace(scheme=here.scheme, netloc=here.netloc)
            sent.url = urlunsplit(there)
            return super().send(sent, *args, **rest)

    def session() -> Any:
        made = requests.Session()
        made.trust_env = False  # no proxy between here and loopback
        made.mount(_HOST, Rerouted())
        return made

    return SimpleNamespace(Session=session, RequestException=requests.RequestException)
