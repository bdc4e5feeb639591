"""Measure the servers in turn, round after round, so that what disturbs one disturbs all."""

from __future__ import annotations

import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Collection, Sequence

import attrs

from tests.benchmarks.fanout.processes import Server, load_program, loading, serving

CLIENTS = 1000
ROUNDS = 3
PACED_RECORDS, RECORDS_A_S = 25, 10.0
BURST, BURSTS = 64, 25
STALLED = 100
STALLED_BURSTS = 250  # 64 records each: 4.8 MB
_SETTLE_S = 0.7
_FILES = 8192

PEERS = ("litestar", "broadcast", "nats")
CASES = ("shared", "topics", "stalled")


@attrs.define
class Measured:
    """Medians by server.

    Attributes:
        single_us: Server CPU per delivery with single records, in us.
        burst_us: The same in bursts of 64.
        p99_ms: Delay from sent to received, singles, 99th percentile.
        topics_us: Single records, each of the clients on a topic of its own.
        idle_bytes: Resident memory per connection that does nothing.
        stalled_bytes: What a client that reads nothing adds to the server's memory; None where
            that was not measured, as the rest is empty then.
        absent: Peers that are not installed.
    """

    single_us: dict[str, float] = attrs.field(factory=dict)
    burst_us: dict[str, float] = attrs.field(factory=dict)
    p99_ms: dict[str, float] = attrs.field(factory=dict)
    topics_us: dict[str, float] = attrs.field(factory=dict)
    idle_bytes: dict[str, float] = attrs.field(factory=dict)
    stalled_bytes: float | None = None
    absent: set[str] = attrs.field(factory=set)


def measure_rounds(cases: Collection[str] = CASES) -> Measured:
    """Run what is asked for; all of it takes a few minutes."""
    _allow_files()
    found = Measured()
    samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with load_program() as program:
        for _ in range(ROUNDS):
            if "shared" in cases:
                for name in ("bond", *PEERS):
                    try:
                        _one_topic(name, program, samples)
                    except FileNotFoundError:
                        found.absent.add(name)
            if "topics" in cases:
                for name in ("bond", "litestar"):
                    _a_topic_each(name, program, samples)
            if "stalled" in cases:
                samples["stalled_bytes"]["bond"].append(_stalled(program))
    for kind in ("single_us", "burst_us", "p99_ms", "topics_us", "idle_bytes"):
        medians = {name: statistics.median(taken) for name, taken in samples[kind].items()}
        setattr(found, kind, medians)
    if "stalled" in cases:
        found.stalled_bytes = statistics.median(samples["stalled_bytes"]["bond"])
    return found


def _one_topic(
    name: str, program: Sequence[str], samples: dict[str, dict[str, list[float]]]
) -> None:
    with serving(name, clients=CLIENTS) as server:
        with loading(server, program, nats=name == "nats", only=20):
            time.sleep(_SETTLE_S)  # what the first client brings in isn't the others' cost
        time.sleep(_SETTLE_S)
        empty = server.memory_bytes()
        with loading(server, program, nats=name == "nats") as load:
            time.sleep(_SETTLE_S)
            samples["idle_bytes"][name].append((server.memory_bytes() - empty) / CLIENTS)
            load.paced(RECORDS_A_S, 3)  # warm
            before = server.cpu_s()
            got = load.paced(RECORDS_A_S, PACED_RECORDS)
            spent = _since(server, before)
            samples["single_us"][name].append(spent / got["delivered"] * 1e6)
            samples["p99_ms"][name].append(got["p99_us"] / 1000)
            load.bursts(BURST, 3)
            before = server.cpu_s()
            got = load.bursts(BURST, BURSTS)
            samples["burst_us"][name].append(_since(server, before) / got["delivered"] * 1e6)


def _a_topic_each(
    name: str, program: Sequence[str], samples: dict[str, dict[str, list[float]]]
) -> None:
    with (
        serving(name, clients=CLIENTS, topics=CLIENTS) as server,
        loading(server, program, nats=False) as load,
    ):
        load.paced(RECORDS_A_S, 3, CLIENTS)  # warm
        before = server.cpu_s()
        got = load.paced(RECORDS_A_S, PACED_RECORDS, CLIENTS)
        samples["topics_us"][name].append(_since(server, before) / got["delivered"] * 1e6)


def _stalled(program: Sequence[str]) -> float:
    """Return by how much more the memory grows with stalled clients than without, for each."""
    grown = {}
    for stalled in (0, STALLED):
        with (
            serving("bond", clients=10 + stalled) as server,
            loading(server, program, nats=False, stalled=stalled) as load,
        ):
            load.paced(RECORDS_A_S, 3)
            before = server.memory_bytes()
            load.bursts(BURST, STALLED_BURSTS)
            grown[stalled] = server.memory_bytes() - before
    return (grown[STALLED] - grown[0]) / STALLED


def _since(server: Server, before_s: float) -> float:
    """Return the CPU spent, once the server has nothing left to do."""
    time.sleep(0.05)
    return server.cpu_s() - before_s


def _allow_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
