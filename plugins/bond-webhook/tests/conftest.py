"""A real endpoint on loopback that answers as it is told, and a context to run the sink in."""

from __future__ import annotations

import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from bond_core.clock import SystemClock
from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_core.runtime.errand import Errand
from bond_core.runtime.sink_policy import SinkPolicy

STREAM = "8f2a1c9d4b3e7a10"


class Endpoint:
    """An HTTP server.

    Attributes:
        url: Where it is.
        answers: What it says next: `(status, headers, body)`; 204 once there is nothing left.
        got: What came: `headers` and `body` of each request.
        delay_s: How long it takes to answer.
        cuts: Whether it closes the connection in place of an answer.
    """

    def __init__(self):
        self.answers, self.got = [], []
        self.delay_s = 0.0
        self.cuts = False
        self._leaving = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                endpoint.answer(self)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks?for=bond"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, request):
        body = request.rfile.read(int(request.headers["content-length"]))
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append(SimpleNamespace(headers=headers, body=body, path=request.path))
        if self.cuts:
            request.connection.close()
            return
        self._leaving.wait(self.delay_s)
        status, headers, said = self.answers.pop(0) if self.answers else (204, {}, b"")
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("content-length", str(len(said)))
        request.end_headers()
        request.wfile.write(said)

    def close(self):
        self._leaving.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def endpoint():
    """Return an endpoint."""
    served = Endpoint()
    yield served
    served.close()


@pytest.fixture
def context():
    """Return what makes a context."""
    return a_context


def a_context(*, private=True, resolve=None, clock=None):
    """Return what a sink is handed; on a machine whose private networks are open, or not."""
    policy = EgressPolicy(private=PRIVATE if private else ())
    return Errand(
        stream_id=STREAM, sink_name="webhook", clock=clock or SystemClock(),
        log=logging.getLogger("bond.sink.webhook"), egress=Egress(policy, resolve=resolve),
        policy=SinkPolicy(),
    )  # fmt: skip
