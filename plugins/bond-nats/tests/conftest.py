"""A real nats-server on loopback, and a context to run the sink in."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import time

import pytest

from bond_core.clock import SystemClock
from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_core.runtime.errand import Errand
from bond_core.runtime.sink_policy import SinkPolicy

PROGRAM = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")


class NatsServer:
    """A server with JetStream that may be killed and started again on its port and its data."""

    def __init__(self, folder, *options):
        self._folder = folder
        self._options = options
        self._process = None
        self.port = -1

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def start(self):
        ports = self._folder / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir()
        self._process = subprocess.Popen(
            [PROGRAM, "-js", "-sd", str(self._folder / "data"), "-a", "127.0.0.1",
             "-p", str(self.port), "--ports_file_dir", str(ports), *self._options],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(1000):
            for file in ports.iterdir():
                try:
                    self.port = int(json.loads(file.read_text())["nats"][0].rpartition(":")[2])
                except (ValueError, KeyError):
                    continue
                return
            time.sleep(0.01)
        raise AssertionError("nats-server did not start")

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def nats_server(tmp_path):
    """Return what starts a server; skip where the program isn't installed."""
    if PROGRAM is None:
        pytest.skip("nats-server is not installed")
    servers = []

    def make(*options):
        servers.append(NatsServer(tmp_path, *options))
        servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.kill()


@pytest.fixture
def context():
    """Return what makes a context; on a machine whose private networks are open, or not."""

    def make(*, private=True):
        policy = EgressPolicy(private=PRIVATE if private else ())
        return Errand(
            stream_id="8f2a1c9d4b3e7a10", sink_name="nats", clock=SystemClock(),
            log=logging.getLogger("bond.sink.nats"), egress=Egress(policy), policy=SinkPolicy(),
        )  # fmt: skip

    return make
