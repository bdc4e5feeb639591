"""The load client where there is no C compiler: the same words, the same answers as load.c.

    python load.py MODE PORT CONTROL_PORT RECORD_BYTES FILE    MODE is ws or nats

What the arguments and commands mean stands at the top of load.c. It reads as little as it can: a
record is found by its `^`, and frames are not parsed. All the same its delays are partly its own.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PATIENCE_S = 20.0
_AT_ONCE = 50  # handshakes; they fit any backlog
_READ_BYTES = 1 << 18
_STALLED_RECEIVE_BYTES = 4096
_SENT_AT = re.compile(rb"\^(\d{19})")
_PING_HEAD = re.compile(rb"\x89\x04(.{4})", re.DOTALL)  # records are ASCII, so 89 begins a ping


class Load:
    """Many subscribers and one publisher.

    Attributes:
        readers: How many subscribers read.
    """

    def __init__(
        self, *, is_nats: bool, port: int, control: int, record_bytes: int, paths: Sequence[str]
    ) -> None:
        self.readers = 0
        self._is_nats = is_nats
        self._port = port
        self._record_bytes = record_bytes
        self._ready = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._delivered = self._reads = self._serial = self._next_topic = 0
        self._lags_ns: list[int] | None = None
        for first in range(0, len(paths), _AT_ONCE):
            self._subscribe(paths[first : first + _AT_ONCE])
        self._control = _dial(control)
        self._control.settimeout(None)  # with one, MSG_DONTWAIT would wait for it
        if is_nats:
            self._control.sendall(b'CONNECT {"verbose":false}\r\n')

    def paced(self, rate: float, count: int, topics: int) -> dict[str, float]:
        """Publish a record for every topic, `rate` times a second."""
        began = self._begin(takes_lags=True)
        for i in range(count):
            while (left_s := began + i / rate - time.monotonic()) > 0:
                self.turn(min(left_s, 0.005))
            self._publish(topics, topics)
            self.turn(0)
        return self._answer(self.readers // topics * topics * count, began)

    def bursts(self, size: float, count: int, topics: int) -> dict[str, float]:
        """Publish bursts, each after the last has arrived."""
        began = self._begin()
        each = self.readers // topics * int(size)
        for i in range(count):
            self._publish(int(size), topics)
            self._wait_for(each * (i + 1))
        return self._answer(each * count, began)

    def flight(self, size: float, count: int, topics: int) -> dict[str, float]:
        """Publish so that always so many are on their way, a quarter of them at a time."""
        began = self._begin()
        each, sent = self.readers // topics, 0
        while sent < count and time.monotonic() < began + PATIENCE_S:
            room = int(size) - (sent - self._delivered // each)
            if room * 4 >= size:
                room = min(room, count - sent)
                self._publish(room, topics)
                sent += room
            self.turn(0.005)
        return self._answer(each * count, began)

    def turn(self, wait_s: float) -> None:
        """Read whatever has come."""
        for number, _ in self._ready.poll(wait_s, 512):
            one = self._sockets[number]
            try:
                data = one.recv(_READ_BYTES)
            except BlockingIOError:
                continue
            if not data:
                raise SystemExit("load: a subscriber was closed by the server")
            self._reads += 1
            self._delivered += data.count(b"^")
            if self._lags_ns is not None:
                now_ns = time.time_ns()
                self._lags_ns += [now_ns - int(sent) for sent in _SENT_AT.findall(data)]
            if not self._is_nats and b"\x89" in data:
                for payload in _PING_HEAD.findall(data):
                    one.sendall(b"\x8a\x84\0\0\0\0" + payload)

    def _subscribe(self, paths: Sequence[str]) -> None:
        asked = []
        for path in paths:
            is_stalled = path.startswith("!")
            one = _dial(self._port, _STALLED_RECEIVE_BYTES if is_stalled else None)
            address = "/" if self._is_nats else path.removeprefix("!")
            one.sendall(
                f"GET {address} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: QUJDREVGR0hJSktMTU5PUA==\r\n\r\n".encode()
            )
            asked.append((one, path.removeprefix("!"), is_stalled))
        for one, subject, is_stalled in asked:
            _shake_hands(one)
            if self._is_nats:  # one masked binary frame; the mask is zero
                words = f'CONNECT {{"verbose":false}}\r\nSUB {subject} 1\r\n'.encode()
                one.sendall(bytes((0x82, 0x80 | len(words), 0, 0, 0, 0)) + words)
            self._sockets[one.fileno()] = one
            if not is_stalled:
                one.setblocking(False)
                self._ready.register(one, select.EPOLLIN)
                self.readers += 1

    def _publish(self, count: int, topics: int) -> None:
        out = []
        for _ in range(count):
            topic, self._next_topic = self._next_topic % topics, self._next_topic + 1
            record = b'{"id":"%d","price_avg":68123.5,"sent":"^%019d","pad":"' % (
                self._serial,
                time.time_ns(),
            )
            self._serial += 1
            record += b"x" * (self._record_bytes - len(record) - 2) + b'"}'
            head = b"PUB ev.%d %d\r\n" % (topic, len(record)) if self._is_nats else b"%d " % topic
            out.append(head + record + (b"\r\n" if self._is_nats else b"\n"))
        self._control.sendall(b"".join(out))
        try:
            while self._control.recv(4096, socket.MSG_DONTWAIT):
                pass  # what NATS says on this side is not of interest
        except BlockingIOError:
            pass

    def _wait_for(self, expected: int) -> None:
        until = time.monotonic() + PATIENCE_S
        while self._delivered < expected and time.monotonic() < until:
            self.turn(0.02)

    def _begin(self, *, takes_lags: bool = False) -> float:
        self._delivered = self._reads = 0
        self._lags_ns = [] if takes_lags else None
        return time.monotonic()

    def _answer(self, expected: int, began: float) -> dict[str, float]:
        self._wait_for(expected)
        lags_us = [max(0, ns // 1000) for ns in sorted(self._lags_ns or [0])]
        last = len(lags_us) - 1
        return {
            "expected": expected,
            "delivered": self._delivered,
            "seconds": round(time.monotonic() - began, 4),
            "per_read": round(self._delivered / max(1, self._reads), 2),
            "p50_us": lags_us[int(0.5 * last)],
            "p99_us": lags_us[int(0.99 * last)],
            "max_us": lags_us[last],
        }


def _dial(port: int, receive_bytes: int | None = None) -> socket.socket:
    one = socket.socket()
    if receive_bytes is not None:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    one.settimeout(PATIENCE_S)
    one.connect(("127.0.0.1", port))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one


def _shake_hands(one: socket.socket) -> None:
    """Read the answer a byte at a time, so that no record behind it is taken."""
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        byte = one.recv(1)
        answer += byte
        if not byte or len(answer) > 2048:
            raise SystemExit(f"load: no handshake: {answer!r}")
    if b" 101 " not in answer:
        raise SystemExit(f"load: refused: {answer!r}")


def main(arguments: Sequence[str]) -> None:
    """Subscribe, then do what stdin says until it ends."""
    mode, port, control, record_bytes, file = arguments
    paths = Path(file).read_text(encoding="utf-8").splitlines()
    load = Load(
        is_nats=mode == "nats", port=int(port), control=int(control),
        record_bytes=int(record_bytes), paths=paths,
    )  # fmt: skip
    print(json.dumps({"readers": load.readers}), flush=True)
    asked = b""
    while True:
        while not select.select([0], [], [], 0)[0]:
            load.turn(0.02)  # pings are answered while there is nothing to do
        more = os.read(0, 4096)
        if not more:
            return
        *lines, asked = (asked + more).split(b"\n")
        for line in lines:
            what, first, count, topics = line.decode().split()
            run = {"paced": load.paced, "bursts": load.bursts, "flight": load.flight}[what]
            print(json.dumps(run(float(first), int(count), int(topics))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
