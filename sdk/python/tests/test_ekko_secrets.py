from __future__ import annotations

import asyncio
import logging
import traceback

import pytest

from ekko import EkkoError
from ekko.resume import Ticket
from ekko.websocket import without_secrets


def test_no_token_reaches_a_log_or_an_error(bond, kit, caplog):
    """With every logger at DEBUG, a stream with refusals, drops and an end tells no secret."""
    caplog.set_level(logging.DEBUG)
    for name in ("ekko", "ekko.websocket", "websockets", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)
    bond.records = [kit.a_record(ms) for ms in (1000, 2000, 3000)]
    bond.faults.extend(
        [
            kit.Fault(1, 1008, "token_expired"),
            kit.Fault(0, None),
            kit.Fault(1, 1011, "internal"),
            kit.Fault(0, 4404, "stream_deleted"),
        ]
    )

    async def run():
        async with bond.running():
            client = bond.client()
            stream = await client.create_stream("BTC price")
            shown.append(repr(client) + repr(client._transport) + repr(client._tickets))
            shown.append(repr(stream))
            async for _ in client.subscribe(stream.stream_id, stream.access_token, from_="now-60s"):
                pass

    shown = []
    with pytest.raises(EkkoError) as caught:
        asyncio.run(run())
    shown += traceback.format_exception(caught.value)
    shown += [repr(caught.value), caplog.text, *(str(r.__dict__) for r in caplog.records)]

    assert "> GET /ws/" in caplog.text  # the request's line was logged, so it could have leaked
    assert bond.minted >= 2
    everything = "\n".join(shown)
    assert "secret0" not in everything
    assert kit.api_key not in everything


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("> GET /ws/a?token=17.ab&after=1-0 HTTP/1.1", "> GET /ws/a?token=***&after=1-0 HTTP/1.1"),
        ("> GET /ws/a?after=1-0&token=17.ab HTTP/1.1", "> GET /ws/a?after=1-0&token=*** HTTP/1.1"),
        ("> Authorization: Bearer bk_1", "> Authorization: ***"),
        ("'ws://h/ws/a?TOKEN=17.ab' isn't valid", "'ws://h/ws/a?TOKEN=***' isn't valid"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secrets_are_blanked_out(text, shown):
    """What stands after `token=` or `Authorization:` goes; the rest stays readable."""
    assert without_secrets(text) == shown


def test_a_ticket_shows_no_token():
    """Nor does what holds one inside the client."""
    assert "secret" not in repr(Ticket("ws://h/ws/a", "17.secret"))
