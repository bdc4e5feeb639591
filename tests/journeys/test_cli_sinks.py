"""Sinks without a server: `bond listen` with a spec that asks for one."""

from __future__ import annotations

import json

from tests.journeys.command_line import bond

SPEC = {
    "sources": [{"type": "ccxt", "exchanges": ["binance"]}],
    "symbols": ["BTC/USDT"],
    "interval_sec": "500ms",
    "sinks": [{"type": "files", "folder": "records"}],
}


def test_what_is_printed_is_in_the_files(tmp_path):
    """Every record that was printed is in a whole file once the command has ended."""
    (tmp_path / "stream.json").write_text(json.dumps(SPEC))

    done = bond("listen", "stream.json", "--simulate", "--limit", "4", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    (file,) = (tmp_path / "records").iterdir()
    assert file.suffix == ".jsonl"
    written = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert written[: len(printed)] == printed
