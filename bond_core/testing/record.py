"""Record what a source says into a file that a conformance test plays: a cassette without secrets.

    python -m bond_core.testing.record acme cassette.jsonl --symbols BTC/USDT --seconds 20

    class TestAcme(ConnectorConformance):
        spec = "acme"
        cassette = load_cassette(Path(__file__).parent / "cassette.jsonl")

One JSON object a line: `answer` (of an HTTP request) or `frame` (of a WebSocket) is what the
source said; `asked` says what for, and is only for people. Headers are never kept, and what is
called like a token in a URL is blotted out. What a source says is not touched: if a secret is
found in it nothing is written, and the error says where to look.
"""  # fmt: skip

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import random
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from bond_core.clock import SystemClock
from bond_core.errors import PluginError, SetupError
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.context import WebSocket
from bond_core.plugin.egress import Egress
from bond_core.plugin.specs import ConnectorSpec
from bond_core.runtime.outside import Outside, WayOut
from bond_core.runtime.supervisor import Supervisor
from bond_core.settings import from_environment, structure
from bond_core.testing.cassette import Answer, Frame
from bond_core.testing.leaks import SHORTEST, forms_of, leaks_in, secrets_of

_TOKEN = re.compile(
    r"(?i)([?&](?:api_?key|key|token|access_token|listen_?key|secret|signature|sig|password)=)"
    r"[^&\s]+"
)
_USER = re.compile(r"(?i)^([a-z][a-z0-9+.-]*://)[^/@\s]+@")


class SecretInRecordingError(SetupError):
    """Something secret is in what was recorded, and nothing was written."""

    default_code = "secret_in_recording"


class Recorder:
    """A way out that keeps what comes in through it. See WayOut.

    Args:
        way_out: The real one.
        secrets: By a name to tell them by, what must not get into a file.

    Attributes:
        lines: What was kept, in order; each has one key: `asked`, `answer`, `frame`, `bytes`.
    """

    def __init__(self, way_out: WayOut, secrets: Mapping[str, str]) -> None:
        self.lines: list[dict[str, Any]] = []
        self._way_out = way_out
        self._secrets = secrets

    async def get_json(self, url: str, **asked: Any) -> Any:
        """See Context."""
        self._ask("GET", url, asked.get("params"))
        return self._answer(await self._way_out.get_json(url, **asked))

    async def get_text(self, url: str, **asked: Any) -> str:
        """See Context."""
        self._ask("GET", url, asked.get("params"))
        text: str = self._answer(await self._way_out.get_text(url, **asked))
        return text

    async def post_json(self, url: str, value: Any, **asked: Any) -> Any:
        """See Context."""
        self._ask("POST", url, value)
        return self._answer(await self._way_out.post_json(url, value, **asked))

    @asynccontextmanager
    async def ws(self, url: str, **asked: Any) -> AsyncIterator[WebSocket]:
        """See Context."""
        self._ask("WS", url, None)
        async with self._way_out.ws(url, **asked) as socket:
            yield _Recorded(socket, self.lines)

    def noting(self, url: str) -> None:
        """See Context: a cassette holds what `ctx` brings."""

    def sdk(self, name: str) -> Any:
        """See Context: what goes through a library can't be recorded."""
        return self._way_out.sdk(name)

    def write(self, path: Path) -> int:
        """Write the cassette; return how many things the source said.

        Raises:
            SecretInRecordingError: It holds something secret; nothing was written.
        """
        for line in self.lines:
            found = leaks_in(json.dumps(_readable(line)), self._secrets)
            found += leaks_in(_readable(line), self._secrets)
            if found:
                what = next(iter(line))
                asked = [line["asked"] for line in self.lines if "asked" in line][:1]
                raise SecretInRecordingError(
                    f"{found[0]} is in what was recorded (in a {what}, asked: {asked}); nothing "
                    "was written",
                    fix="record with a key that may be seen, or take it out by hand",
                )  # fmt: skip
        texts = [json.dumps(line, ensure_ascii=False) for line in self.lines]
        path.write_text("\n".join([*texts, ""]), encoding="utf-8")
        return sum("asked" not in line for line in self.lines)

    def _ask(self, method: str, url: str, more: Any) -> None:
        asked = _USER.sub(r"\1***@", _TOKEN.sub(r"\1***", url))
        text = f"{method} {asked}" + (f" {json.dumps(more)}" if more else "")
        for secret in self._secrets.values():
            for form in sorted(forms_of(secret), key=len, reverse=True):
                text = text.replace(form, "***") if len(secret) >= SHORTEST else text
        self.lines.append({"asked": text})

    def _answer(self, answer: Any) -> Any:
        self.lines.append({"answer": answer})
        return answer


class _Recorded:
    """A WebSocket whose messages are kept. What is sent is not: it may log in."""

    def __init__(self, socket: WebSocket, lines: list[dict[str, Any]]) -> None:
        self._socket = socket
        self._lines = lines
        self.send, self.send_json = socket.send, socket.send_json

    async def recv(self) -> str | bytes:
        """See WebSocket."""
        frame = await self._socket.recv()
        if isinstance(frame, bytes):
            self._lines.append({"bytes": base64.b64encode(frame).decode()})
        else:
            self._lines.append({"frame": frame})
        return frame

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self

    async def __anext__(self) -> str | bytes:
        return await self.recv()


def load_cassette(path: Path | str) -> list[Answer | Frame]:
    """Return what a source said, from a file that a recorder wrote."""
    said: list[Answer | Frame] = []
    for text in Path(path).read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        if "answer" in line:
            said.append(Answer(line["answer"]))
        elif "frame" in line:
            said.append(Frame(line["frame"]))
        elif "bytes" in line:
            said.append(Frame(base64.b64decode(line["bytes"])))
    return said


async def record(
    spec: ConnectorSpec, config: Any, symbols: Sequence[str], path: Path, *,
    seconds: float = 20.0, most: int = 200, egress: Egress | None = None,
    secrets: Mapping[str, str] | None = None,
) -> int:  # fmt: skip
    """Run a connector against its real source, and write what the source says into a cassette.

    Args:
        spec: The connector's.
        config: Its settings.
        symbols: What is listened to, on each of its channels.
        path: Where to.
        seconds: How long, at most. Real seconds.
        most: How many answers and messages, at most.
        egress: What guards the way out; None is the plain policy.
        secrets: More that must not be in it, beside its settings' and its environment's.

    Raises:
        SecretInRecordingError: A secret is in what was said; nothing was written.
    """
    clock = SystemClock()
    out = Outside(
        egress or Egress(), own=spec.hosts, simulated_at=None, clock=clock,
        requests_per_min=spec.capabilities.requests_per_min,
    )  # fmt: skip
    recorder = Recorder(out, {**_environment_of(spec), **secrets_of(config), **(secrets or {})})
    supervisor = Supervisor(
        spec, config, name=spec.name, clock=clock, chance=random.Random(),  # noqa: S311 -- jitter
        simulated_at=None, way_out=recorder,
    )  # fmt: skip
    for channel in spec.channels:
        for symbol in ("",) if channel.scope == "stream" else symbols:
            supervisor.feed(channel.name, symbol)
    running = asyncio.create_task(supervisor.run())
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while len(recorder.lines) < most and not running.done():
                await clock.sleep(0.05)
    running.cancel()
    await asyncio.wait({running})
    return recorder.write(path)


def _environment_of(spec: ConnectorSpec) -> dict[str, str]:
    """Return the secrets that are in the environment for this connector."""
    named = {field.metadata.get("env") for field in attrs.fields(spec.config)}
    names = {*spec.needs, *named} - {None}
    return {name: os.environ[name] for name in names if name and os.environ.get(name)}


def _readable(line: Mapping[str, Any]) -> Any:
    return base64.b64decode(line["bytes"]).decode(errors="replace") if "bytes" in line else line


def main(words: Sequence[str]) -> int:
    """Record from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bond_core.testing.record")
    parser.add_argument("spec", help="the source type, such as acme")
    parser.add_argument("file", type=Path, help="the cassette to write")
    parser.add_argument("--symbols", nargs="+", default=["BTC/USDT"])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--config", type=json.loads, default={}, help="settings, as JSON")
    given = parser.parse_args(words)
    spec = Catalog.installed().connector(given.spec)
    if spec is None:
        raise PluginError(f"no connector is called {given.spec!r}")
    settings = {**from_environment(spec.config, os.environ), **given.config}
    config: Any = structure(spec.config, settings)
    n = asyncio.run(record(spec, config, given.symbols, given.file, seconds=given.seconds))
    print(f"{n} answers and messages are in {given.file}")  # noqa: T201 -- a command line prints
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
