"""What a recording says of its blocks."""

from __future__ import annotations

from bond_core.clock import NS
from bond_core.model.event import Trade
from bond_core.runtime.tape.blocks import BlockWriter
from bond_core.runtime.tape.told import Tape
from bond_core.windows.engine import WindowEngine
from bond_server.recordings.header import Header, header_line
from bond_server.recordings.recording import open_recording

T0 = 1_700_000_000 * NS


def a_trade(n: int) -> Trade:
    """Return a trade."""
    return Trade("BTC/USDT", T0, 1.0, 1.0, "buy", str(n), n, T0)


def test_events_that_were_fetched_for_a_hole_are_counted(tmp_path):
    """A block's count has what was heard and what was fetched."""
    path = tmp_path / "a.gz"
    engine = WindowEngine.__new__(WindowEngine)
    header = Header(
        stream_id="s", spec={}, text=None, started_ns=T0, sources=(), has_frames=False, versions={}
    )
    writer, tape = BlockWriter(path), Tape()
    writer.write(header_line(header))
    tape.noted.append((engine.on_events, ("okx", [a_trade(1), a_trade(2)])))
    tape.noted.append((engine.on_fetched, ("okx", [a_trade(3)])))
    writer.write(tape.lines())
    writer.close()

    (block,) = open_recording(path).blocks()

    assert block.events == 3
    assert tape.events == 3
