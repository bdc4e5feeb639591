"""Listen to one stream in one line: `listen`, on a server or in this process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ekko.client import EkkoClient
from ekko.iterator import Events
from ekko.local import local_events, replayed_events


def listen(
    text_or_spec: str | Mapping[str, Any] | None = None,
    *,
    api_url: str | None = None,
    api_key: str | None = None,
    local: bool = False,
    replay: str | os.PathLike[str] | None = None,
    speed: float | None = None,
    seconds: float | None = None,
    limit: int | None = None,
    **options: Any,
) -> Events:
    """Yield the records of what a sentence or spec asks for, for as long as they are taken.

    The stream ends 60 s after its last client. Dropped connections are resumed: no record is
    lost or doubled; what the server itself has lost is told by a `Gap`.

        async for event in listen("BTC price + tweets every 5s"):
            print(event["price_avg"], event.tweets)

    Args:
        text_or_spec: A sentence, or a spec as a mapping; with `replay` it may be left out, and
            else must be what was recorded.
        api_url: Where the server is; else EKKO_API_URL, else http://localhost:8000. `"local"`
            is the same as `local=True`.
        api_key: The API key; else EKKO_API_KEY.
        local: Run the stream in this process, without a server.
        replay: A file of `bond record`, whose records are played in place of live ones; each has
            `replayed` set. No server is asked.
        speed: Recorded seconds a second of a replay; None for as fast as they are taken.
        seconds: End after so many seconds.
        limit: End after so many events.
        **options: `from_`, `slow` and `ws_url` as for `EkkoClient`, and keys of the spec as for
            `create_stream`.

    Raises:
        LocalModeError: Local mode or a replay was asked for, and isn't installed.
        TypeError: Neither a text nor a replay was given; or what the one has was asked of the
            other.
        EkkoError: As `EkkoClient.create_stream` and `EkkoClient.subscribe` raise.
    """
    if replay is not None:
        asked = {"api_url": api_url, "api_key": api_key, **options}
        if senseless := sorted(name for name, value in asked.items() if value is not None):
            raise TypeError(f"{', '.join(senseless)} can't be used with a replay: it is a file's")
        return Events(replayed_events(replay, text_or_spec, speed), seconds=seconds, limit=limit)
    if text_or_spec is None or speed is not None:
        raise TypeError("listen takes a sentence or a spec; `speed` is for a `replay`")
    if local or (api_url or os.environ.get("EKKO_API_URL")) == "local":
        senseless = sorted({"from_", "slow", "ws_url"} & options.keys())
        if senseless:
            what = ", ".join(senseless)
            raise ValueError(f"{what} can't be used in local mode: no server is asked")
        return Events(local_events(text_or_spec, options), seconds=seconds, limit=limit)
    client = EkkoClient(api_url, options.pop("ws_url", None), api_key)
    return client.listen(text_or_spec, seconds=seconds, limit=limit, **options)
