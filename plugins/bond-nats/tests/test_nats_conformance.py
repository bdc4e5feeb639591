"""The conformance kit, with a real nats-server on loopback: what the sink reaches through ctx."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager

import nats
import pytest
from nats.js.api import StreamConfig

from bond_core.testing import SinkConformance


class TestNats(SinkConformance):
    """One stream of JetStream."""

    spec = "nats"
    env = {"NATS_TOKEN": "canary-3d1b"}
    bad_configs = {
        "no server": {},
        "another scheme": {"url": "http://nats.example.com"},
        "a password in the URL": {"url": "nats://user:pass@nats.example.com"},
        "a wildcard": {"url": "nats://a", "subject": "bond.>"},
        "a token in clear": {"url": "nats://a", "token": "canary"},
        "no time to confirm": {"url": "nats://a", "ack_within_s": 0.0},
    }

    @pytest.fixture(autouse=True)
    def with_server(self, nats_server):
        """Start a server for each check, and make a stream in it."""
        self.server = nats_server("--auth", self.env["NATS_TOKEN"])
        self._asked(lambda js: js.add_stream(StreamConfig("BOND", subjects=["bond.>"])))

    def make_config(self, tmp_path):
        """Name the server."""
        return {"url": self.server.url, "token": {"$env": "NATS_TOKEN"}, "ack_within_s": 1.0}

    def read_back(self, tmp_path):
        """Return what the stream keeps."""

        async def kept(js):
            last = (await js.stream_info("BOND")).state.last_seq
            messages = [await js.get_msg("BOND", n) for n in range(1, last + 1)]
            return [json.loads(message.data) for message in messages]

        return self._asked(kept)

    @contextmanager
    def broken(self, tmp_path):
        """Kill the server; it comes back on its port, with what it had."""
        self.server.kill()
        yield
        self.server.start()

    def _asked(self, ask):
        async def go():
            client = await nats.connect(self.server.url, token=self.env["NATS_TOKEN"])
            try:
                return await ask(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(go())
