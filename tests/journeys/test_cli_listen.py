"""`bond listen`: a stream in this process, or a server's, on the terminal or in a pipe."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import aclosing

import pytest

from bond_core.errors import BondError
from bond_core.runtime.binding import Defaults
from bond_server.cli.listen import records as listen_to
from bond_server.local import Bond
from tests.journeys.command_line import bond, serving, start

SENTENCE = "BTC price every 1s"


def test_a_pipe_gets_json_lines_as_many_as_asked_for():
    """
    With --limit 3 there are three records, one a line, simulated and labelled.
    """
    done = bond("listen", SENTENCE, "--simulate", "--limit", "3")

    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) == 3
    assert all(s["simulated"] for r in records for s in r["sources"].values())
    assert done.stderr.startswith("3 records · ")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_terminal_gets_a_table():
    """
    Where stdout is a terminal, the format that nobody asked for is the table.
    """
    terminal, end = os.openpty()
    try:
        with start("listen", SENTENCE, "--simulate", "--limit", "4", stdout=end) as listening:
            os.close(end)
            shown = b""
            while b"SIM" not in shown or b"BTC/USDT" not in shown:
                shown += os.read(terminal, 4096)
            listening.kill()
    finally:
        os.close(terminal)

    assert b"price_avg" in shown
    assert b'{"id"' not in shown


def test_a_table_says_what_was_understood():
    """
    A table goes to a terminal, with what was understood and assumed on stderr.
    """
    done = bond("listen", SENTENCE, "--simulate", "--for", "3s", "--format", "table")

    assert done.returncode == 0, done.stderr
    assert "understood  BTC/USDT price every 1s" in done.stderr
    assert "SIMULATED" in done.stdout
    assert sum(line.startswith("SIM ") for line in done.stdout.splitlines()) >= 2


def test_the_environment_may_ask_for_simulation():
    """
    BOND_SIMULATE=1 and BOND_DEFAULT_EXCHANGES count here as they do for a server.
    """
    done = bond(
        "listen", SENTENCE, "--limit", "2",
        env={"BOND_SIMULATE": "1", "BOND_DEFAULT_EXCHANGES": "coinbaseexchange"},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout.splitlines()[-1])
    assert list(record["sources"]) == ["coinbaseexchange"]
    assert record["sources"]["coinbaseexchange"]["simulated"]


def test_a_reader_that_has_enough_ends_it_quietly():
    """
    When the pipe is closed (`| head -1`) it ends with 0 and says nothing of it.
    """
    with start("listen", SENTENCE, "--simulate") as listening:
        try:
            first = listening.stdout.readline()
            listening.stdout.close()
            said = listening.stderr.read()
            status = listening.wait(timeout=30)
        finally:
            listening.kill()

    assert json.loads(first)["symbol"] == "BTC/USDT"
    assert status == 0, said
    assert said == ""


def test_ctrl_c_sums_up_and_is_no_failure():
    """
    Ctrl-C after a record prints the summary and ends with 0.
    """
    with start("listen", SENTENCE, "--simulate") as listening:
        try:
            listening.stdout.readline()
            listening.send_signal(signal.SIGINT)
            _, said = listening.communicate(timeout=30)
        finally:
            listening.kill()

    assert listening.returncode == 0, said
    assert re.search(r"\d+ records? · late \d+ · duplicates \d+ · rejected \d+ · gaps \d+", said)
    assert "Traceback" not in said


def test_ctrl_c_before_anything_was_printed_is_130():
    """
    Ctrl-C while nothing was printed yet ends with the status of an interrupted command.
    """
    words = ("listen", "BTC price every 1h", "--simulate", "--format", "table")
    with start(*words) as listening:
        try:
            assert listening.stderr.readline().startswith("understood")
            listening.send_signal(signal.SIGINT)
            _, said = listening.communicate(timeout=30)
        finally:
            listening.kill()

    assert listening.returncode == 130, said
    assert "Traceback" not in said


def test_a_spec_is_read_from_a_file(tmp_path):
    """
    A file holds a spec, bare or as a request's `spec`.
    """
    spec = {
        "sources": [{"type": "ccxt", "exchanges": ["okx"]}],
        "symbols": ["ETH/USDT"], "interval_sec": 0.5, "fields": ["price_avg"],
    }  # fmt: skip
    (tmp_path / "bare.json").write_text(json.dumps(spec))
    (tmp_path / "request.json").write_text(json.dumps({"spec": spec}))

    for name in ("bare.json", "request.json"):
        done = bond("listen", name, "--simulate", "--limit", "2", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        record = json.loads(done.stdout.splitlines()[0])
        assert (record["symbol"], record["timeframe"]) == ("ETH/USDT", "500ms")
        assert list(record["sources"]) == ["okx"]


FILES = [
    ("no such file", None, "error[bad_file]"),
    ("no JSON", "{", "it is not JSON"),
    ("no object", "[1]", "holds no JSON object"),
    ("unknown key", '{"sources": [{"type": "ccxt"}], "symbls": ["BTC/USDT"]}', "symbols"),
    ("no symbol", '{"sources": [{"type": "ccxt"}]}', "at least one symbol"),
    ("NaN", '{"sources": [{"type": "ccxt"}], "interval_sec": NaN}', "it is not JSON"),
]


@pytest.mark.parametrize(("text", "said"), [f[1:] for f in FILES], ids=[f[0] for f in FILES])
def test_a_file_that_is_wrong_is_refused(tmp_path, text, said):
    """
    What is wrong with a spec's file is said, and the status is 1.
    """
    path = tmp_path / "spec.json"
    if text is not None:
        path.write_text(text)

    done = bond("listen", str(path), "--simulate")

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_word_is_underlined_and_the_fix_works():
    """
    The error stands under the word, and what it says to try does work when pasted.
    """
    done = bond("listen", "BTC price on binanse every 1s", "--simulate")

    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error[unknown_exchange]")
    assert lines[1] == "  BTC price on binanse every 1s"
    assert lines[2] == "               ^^^^^^^ did you mean binance?"
    fix = re.fullmatch(r'  try: bond listen "(.+)"', lines[3])
    assert fix
    assert bond("listen", fix[1], "--simulate", "--limit", "1").returncode == 0


def test_what_no_plugin_brings_is_refused():
    """
    A source that is known but not installed is refused, with the plugin that has it.
    """
    done = bond("listen", "BTC price + tweets every 5s", env={"BOND_PLUGINS": "ccxt,sim"})

    assert done.returncode == 1
    assert "no installed plugin provides tweets: bond-x does" in done.stderr


def test_a_source_that_can_never_be_heard_ends_it():
    """
    When every source has failed for good it says why and ends with 1: nothing would ever come.
    """
    done = bond("listen", "XMR price on okx every 1s", "--simulate")

    assert done.returncode == 1
    assert "error[source_failed]" in done.stderr
    assert "okx doesn't list XMR/USDT" in done.stderr


def test_a_stream_that_breaks_ends_and_says_so(caplog):
    """
    A bug inside a running stream ends what listens to it with an error, and not in silence.
    """

    def out_of_order(now_ns):
        raise RuntimeError("out of order")

    async def main():
        async with Bond(defaults=Defaults(simulate=True)) as bond:
            stream, _ = await bond.create(bond.compile({"natural_language": SENTENCE}))
            stream.pipeline.engine.sees = out_of_order
            async with asyncio.timeout(20), aclosing(listen_to(bond, stream)) as records:
                async for _ in records:
                    pass

    with pytest.raises(BondError, match="out of order") as raised:
        asyncio.run(main())

    assert raised.value.code == "bug"
    assert "stopped by a bug" in caplog.text


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return the address of a simulating server."""
    with serving(tmp_path_factory.mktemp("server")) as address:
        yield address


def test_a_server_may_run_it(server):
    """
    With --url the server makes the stream, and its records come over the tokenized WebSocket.
    """
    done = bond("listen", SENTENCE, "--url", server, "--limit", "3")

    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) == 3
    ids = [tuple(map(int, record["id"].split("-"))) for record in records]
    assert ids == sorted(set(ids))


def test_a_server_says_what_is_wrong_the_same_way(server):
    """
    A server's refusal is shown like one found here: the word underlined, and a fix.
    """
    done = bond("listen", "BTC price on binanse every 1s", "--url", server)

    assert done.returncode == 1
    assert "               ^^^^^^^ did you mean binance?" in done.stderr
    assert 'try: bond listen "BTC price on binance every 1s"' in done.stderr


def test_no_server_is_said():
    """
    Where nobody answers, the error says so and what starts a server.
    """
    done = bond("listen", SENTENCE, "--url", "http://127.0.0.1:9")

    assert done.returncode == 1
    assert "error[no_server]" in done.stderr
    assert "try: bond serve" in done.stderr


WRONG = [
    (["--limit", "0"], "a whole number above 0 is needed"),
    (["--for", "-1s"], "--for"),
    (["--url", "http://127.0.0.1:9", "--simulate"], "the server decides"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[w[1] for w in WRONG])
def test_a_wrong_command_is_2(words, said):
    """
    A command that makes no sense ends with 2 before anything starts.
    """
    done = bond("listen", SENTENCE, *words)

    assert done.returncode == 2
    assert said in done.stderr
