"""Listen to one stream in one line: `listen`, on a server or in this process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ekko.client import EkkoClient
from ekko.iterator import Events
from ekko.local import local_events


def listen(
    text_or_spec: str | Mapping[str, Any],
    *,
    api_url: str | None = None,
    api_key: str | None = None,
    local: bool = False,
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
        text_or_spec: A sentence, or a spec as a mapping.
        api_url: Where the server is; else EKKO_API_URL, else http://localhost:8000. `"local"`
            is the same as `local=True`.
        api_key: The API key; else EKKO_API_KEY.
        local: Run the stream in this process, without a server.
        seconds: End after so many seconds.
        limit: End after so many events.
        **options: `from_`, `slow` and `ws_url` as for `EkkoClient`, and keys of the spec as for
            `create_stream`.

    Raises:
        LocalModeError: Local mode was asked for and isn't installed.
        EkkoError: As `EkkoClient.create_stream` and `EkkoClient.subscribe` raise.
    """
    if local or (api_url or os.environ.get("EKKO_API_URL")) == "local":
        senseless = sorted({"from_", "slow", "ws_url"} & options.keys())
        if senseless:
            what = ", ".join(senseless)
            raise ValueError(f"{what} can't be used in local mode: no server is asked")
        return Events(local_events(text_or_spec, options), seconds=seconds, limit=limit)
    client = EkkoClient(api_url, options.pop("ws_url", None), api_key)
    return client.listen(text_or_spec, seconds=seconds, limit=limit, **options)
