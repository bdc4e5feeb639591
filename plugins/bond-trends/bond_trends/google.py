"""Look one keyword up at Google Trends, through trendspyg and without its browser.

trendspyg has Google's address in its code, and one session for the whole process. Each lookup
here is handed a session of its own, one lookup after the other, so that a simulated source and a
real one never share what they know.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from bond_core.plugin import Fatal, Retryable

TIMEFRAME = "now 7-d"
"""Interest by the hour, on a scale of 0 to 100 of the week's most."""

REFUSED_PAUSE_S = 1800.0
CHANGED_PAUSE_S = 3600.0
AWAY_PAUSE_S = 300.0

_HOST = "https://trends.google.com"
_ONE = threading.Lock()


def look_up(keyword: str, library: Any, http: Any, requests: Any, base: str | None) -> Any:
    """Return trendspyg's envelope for a keyword. It blocks; call it in a thread.

    Args:
        keyword: What is searched for.
        library: `trendspyg`.
        http: `trendspyg.explore._http`, its HTTP engine.
        requests: The library that the engine asks with.
        base: Base URL of a simulator, or None.

    Raises:
        Retryable: Google refuses, is away, or answers with something else.
        Fatal: The keyword can't be looked up.
    """
    with _ONE, _session(requests, base) as session:
        http._session, http._paused_until = session, 0.0  # noqa: SLF001 -- see above
        try:
            return library.download_google_trends_explore(
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
        finally:
            http._session = None  # noqa: SLF001


def _session(requests: Any, base: str | None) -> Any:
    session = requests.Session()
    if base is not None:
        session.mount(_HOST, _adapter(requests, base))
    return session


def _adapter(requests: Any, base: str) -> Any:
    """Return what sends each request to the same path at another address."""

    class Rerouted(requests.adapters.HTTPAdapter):  # type: ignore[misc]  # known when it runs
        def send(self, request: Any, *args: Any, **rest: Any) -> Any:
            here, there = urlsplit(base), urlsplit(request.url)
            request.url = urlunsplit(there._replace(scheme=here.scheme, netloc=here.netloc))
            return super().send(request, *args, **rest)

    return Rerouted()


def newest_point(envelope: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return the date and value of the newest hour that is over; None if nothing is known."""
    if envelope.get("is_empty"):
        return None
    points = [p for p in envelope["interest_over_time"] if not p["is_partial"] and p["date"]]
    return (points[-1]["date"], float(points[-1]["value"])) if points else None


def rising_of(envelope: Mapping[str, Any], most: int = 5) -> list[str]:
    """Return the queries that rise most, the steepest first."""
    found = (envelope.get("related_queries") or {}).get("rising") or []
    return [str(row["query"]) for row in found[:most]]
