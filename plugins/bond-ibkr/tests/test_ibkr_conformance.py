"""The conformance kit, on ib_async's own client and decoder: only its socket is ours."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import ib_async

from bond_core.testing import ConnectorConformance
from bond_ibkr.wire import Ask, Tell, frame

S = 1_700_000_000
TICKS = {
    "Last": [(1, S, 230.11, 100, 0, "ARCA", ""), (1, S, 230.12, 40, 0, "NASDAQ", "")],
    "AllLast": [(2, S, 230.11, 100, 0, "ARCA", ""), (2, S, 230.12, 40, 0, "NASDAQ", "")],
    "BidAsk": [(3, S, 230.1, 230.13, 300, 200, 0), (3, S, 230.11, 230.13, 100, 200, 0)],
    "MidPoint": [(4, S, 230.115), (4, S, 230.12)],
}
BARS = [(S, 230.0, 230.5, 229.5, 230.25, 1200, 230.1, 17)]


class Transport:
    """A TWS at the other end of no socket: it answers while it is written to."""

    def __init__(self, client):
        self._client = client
        self._is_open = True

    def write(self, data):
        if data.startswith(b"API\0"):
            self._say(178, "20231114 22:13:20 UTC")
            return
        fields = data[4:].decode().split("\0")[:-1]
        match int(fields[0]):
            case Ask.START_API:
                self._say(Tell.MANAGED_ACCOUNTS, 1, "DU0000001")
                self._say(Tell.NEXT_VALID_ID, 1, 1)
            case Ask.CURRENT_TIME:
                self._say(Tell.CURRENT_TIME, 1, S)
            case Ask.CONTRACT_DETAILS:
                self._describe(fields[2])
            case Ask.TICK_BY_TICK:
                for tick in TICKS[fields[14]]:
                    self._say(Tell.TICK_BY_TICK, fields[1], *tick)
            case Ask.BARS:
                for bar in BARS:
                    self._say(Tell.BAR, 3, fields[2], *bar)

    def write_eof(self):
        """Say no more."""

    def close(self):
        if self._is_open:
            self._is_open = False
            self._soon(self._client.conn.connection_lost, None)

    abort = close

    def _describe(self, number):
        self._say(
            Tell.CONTRACT_DETAILS, number, "AAPL", "STK", "", 0, "", "SMART", "USD", "AAPL", "NMS",
            "NMS", 265598, 0.01, "", "LMT", "SMART", 1, 0, "APPLE INC", "NASDAQ", "", "", "", "",
            "US/Eastern", "", "", "", "", 0, 1, "", "", "26", "", "COMMON", 1, 1, 100,
        )  # fmt: skip
        self._say(Tell.CONTRACT_DETAILS_END, 1, number)

    def _say(self, *fields):
        if self._is_open:
            self._soon(self._client.conn.data_received, frame(*fields))

    def _soon(self, call, *arguments):
        asyncio.get_running_loop().call_soon(call, *arguments)


class Client(ib_async.Client):
    """ib_async's own, but for where it dials, and for its pace: it keeps that in real time."""

    MaxRequests = property(lambda _: 0, lambda _, __: None)

    def __init__(self, wrapper):
        super().__init__(wrapper)
        self.conn.connectAsync = self._dialled

    async def _dialled(self, host, port):
        self.conn.transport = Transport(self)


class TestIbkr(ConnectorConformance):
    """All channels at once."""

    spec = "ibkr"
    symbols = ("AAPL",)
    bad_configs = {
        "a typo": {"hots": "127.0.0.1"},
        "a number": {"client_id": 2},
        "a list": {"ports": [7497]},
    }
    sdks = {"ib_async": SimpleNamespace(Client=Client, Contract=ib_async.Contract)}

    def drop_sdk(self, clients):
        for client in clients:
            if isinstance(client, Client) and client.conn.transport is not None:
                client.conn.transport.close()

    def silence_sdk(self, clients):
        for client in clients:
            if isinstance(client, Client):
                client.conn.hasData.clear()
