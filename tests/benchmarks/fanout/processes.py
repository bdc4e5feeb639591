"""Start a server and a load client, talk to them, and read what they cost from /proc."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

RECORD_BYTES = 300
SERVER_CORE, CLIENT_CORE = 0, 1
_STARTS_WITHIN_S = 60.0
_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
_NATS = """\
listen: 127.0.0.1:{control}
websocket {{ listen: "127.0.0.1:{port}", no_tls: true, compression: false }}
max_pending: 512MB
write_deadline: "60s"
"""


@attrs.frozen
class Server:
    """A server that runs, and where its clients go."""

    pid: int
    port: int
    control: int
    paths: Sequence[str]

    def cpu_s(self) -> float:
        """Return the CPU time that all its threads have taken, in s."""
        total_ns = 0
        for thread in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                total_ns += int((thread / "schedstat").read_text().split()[0])
            except FileNotFoundError:  # it has ended meanwhile
                continue
        return total_ns / 1e9

    def memory_bytes(self) -> int:
        """Return its resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")


@contextmanager
def serving(name: str, *, clients: int, topics: int = 1) -> Iterator[Server]:
    """Run a server for as long as the context lasts.

    Raises:
        FileNotFoundError: It is not installed.
        RuntimeError: It does not start.
    """
    port, control = _free_port(), _free_port()
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "said").open("w+") as said:
        if name == "nats":
            binary = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin")
            if binary is None:
                raise FileNotFoundError("nats-server")
            settings = Path(folder, "nats.conf")
            settings.write_text(_NATS.format(port=port, control=control), encoding="utf-8")
            command = [binary, "-c", str(settings)]
        else:
            module = "tests.benchmarks.fanout.servers"
            numbers = [str(number) for number in (port, control, topics, clients)]
            command = [sys.executable, "-m", module, name, *numbers]
        process = subprocess.Popen(
            command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=said, text=True,
            preexec_fn=_on_core(SERVER_CORE),  # noqa: PLW1509 -- no threads here
        )  # fmt: skip
        try:
            if name == "nats":
                _wait_for_port(port, process)
                paths = [f"ev.{i % topics}" for i in range(clients)]
            else:
                assert process.stdout is not None
                line = process.stdout.readline()
                if not line:
                    said.seek(0)
                    raise RuntimeError(f"{name} did not start:\n{said.read()[-2000:]}")
                paths = json.loads(line)["paths"]
            yield Server(process.pid, port, control, paths)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


class Load:
    """The load client, connected."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._read()

    def paced(self, rate: float, count: int, topics: int = 1) -> dict[str, Any]:
        """Publish a record for every topic, so many times a second; return what was delivered."""
        return self._ask(f"paced {rate} {count} {topics}")

    def bursts(self, size: int, count: int, topics: int = 1) -> dict[str, Any]:
        """Publish bursts, each after the last has arrived."""
        return self._ask(f"bursts {size} {count} {topics}")

    def flight(self, size: int, count: int, topics: int = 1) -> dict[str, Any]:
        """Publish so that always so many records are on their way."""
        return self._ask(f"flight {size} {count} {topics}")

    def _ask(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if answer["delivered"] < answer["expected"]:
            raise RuntimeError(f"{command}: only {answer}")
        return answer

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load client ended; it said why above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def loading(
    server: Server, program: Sequence[str], *, nats: bool, stalled: int = 0, only: int | None = None
) -> Iterator[Load]:
    """Connect the load client, with some of its clients stalled; or only a few clients."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        paths = server.paths[:only]
        cut = len(paths) - stalled
        file.writelines(f"{path}\n" for path in paths[:cut])
        file.writelines(f"!{path}\n" for path in paths[cut:])
        file.flush()
        numbers = [str(number) for number in (server.port, server.control, RECORD_BYTES)]
        process = subprocess.Popen(
            [*program, "nats" if nats else "ws", *numbers, file.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=_on_core(CLIENT_CORE),  # noqa: PLW1509 -- no threads here
        )  # fmt: skip
        try:
            yield Load(process)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


@contextmanager
def load_program() -> Iterator[Sequence[str]]:
    """Give the command of the load client: in C where there is a compiler, else in Python."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        print("no C compiler: the load client is in Python, and delays are its own as well")
        yield (sys.executable, str(_HERE / "load.py"))
        return
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "load"
        subprocess.run([compiler, "-O2", "-o", str(program), str(_HERE / "load.c")], check=True)
        yield (str(program),)


def _on_core(core: int) -> Callable[[], None]:
    cores = sorted(os.sched_getaffinity(0))
    chosen = cores[core % len(cores)]
    return lambda: os.sched_setaffinity(0, {chosen})


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait_for_port(port: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")
