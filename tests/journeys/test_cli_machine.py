"""`bond doctor`, `plan`, `errors` and `completion`: what is said before anything runs."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import socket
import subprocess
from contextlib import closing

import pytest

from bond_core.testing.loopback_http import LoopbackHttp, Reply
from bond_server.cli import COMMANDS, main
from bond_server.cli.completion import levels
from bond_server.cli.completion_scripts import SCRIPTS
from bond_server.cli.csv_lines import CsvLines
from bond_server.cli.progress import Progress
from bond_server.cli.reach import reach
from bond_server.error_catalogue.catalogue import CATALOGUE
from tests.journeys.command_line import bond
from tests.journeys.test_cli_table import a_record, a_source


def checks(done):
    """Return what the doctor found, by what it looked at."""
    return {check["about"]: check for check in json.loads(done.stdout)}


def test_the_doctor_says_what_is_well(tmp_path):
    """
    Python, settings, data directory, plugins; a missing secret is a warning, and no failure.
    """
    env = {"BOND_DATA_DIR": str(tmp_path), "BOND_PLUGINS": "ccxt,sim"}
    done = bond("doctor", "--offline", env=env, cwd=tmp_path)

    assert done.returncode == 0, done.stdout
    assert "ok    data      " in done.stdout
    assert "warn  secret    BOND_SECRET is not set" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("0 failures")


def test_the_doctor_says_what_is_wrong_and_what_mends_it(tmp_path):
    """
    A setting, a secret that anybody knows: each is named, and the status is 1.
    """
    wrong = bond(
        "doctor", "--offline", "--json", cwd=tmp_path,
        env={"BOND_DATA_DIR": str(tmp_path), "BOND_TOKEN_TTL": "soon", "BOND_SECRET": "change-me"},
    )  # fmt: skip

    assert wrong.returncode == 1
    found = checks(wrong)
    assert found["settings"]["verdict"] == "FAIL"
    assert "BOND_TOKEN_TTL" in found["settings"]["said"]
    assert found["secret"]["verdict"] == "FAIL"
    assert found["secret"]["fix"] == "export BOND_SECRET=$(bond secret new)"


def test_the_doctor_tries_redis_and_the_port(tmp_path):
    """
    A Redis that does not answer is a failure; a port that is taken a warning.
    """
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"redis://:hush@127.0.0.1:{taken.getsockname()[1]}/0"
        done = bond(
            "doctor", "--offline", "--json", cwd=tmp_path,
            env={"BOND_DATA_DIR": str(tmp_path), "REDIS_URL": url},
        )  # fmt: skip

    assert checks(done)["redis"]["verdict"] == "FAIL"
    assert "hush" not in done.stdout + done.stderr


def test_the_doctor_never_shows_a_secret(tmp_path):
    """
    Neither in lines nor as JSON.
    """
    secret = "0123456789abcdef" * 4
    for options in ((), ("--json",)):
        done = bond(
            "doctor", "--offline", *options, cwd=tmp_path,
            env={"BOND_SECRET": secret, "BOND_DATA_DIR": str(tmp_path)},
        )  # fmt: skip
        assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("status", "verdict"), [(200, "ok"), (451, "FAIL"), (403, "FAIL"), (500, "warn")]
)
def test_a_venue_is_asked_whether_it_serves_this_place(status, verdict):
    """
    A refusal by country is a failure with a way out; an error of the venue's is a warning.
    """

    async def go():
        async with LoopbackHttp(lambda _: Reply(status=status, body=b"{}")) as server:
            return await reach(["okx"], places={"okx": server.url})

    first, *_ = asyncio.run(go())
    assert (first.about, first.verdict) == ("okx", verdict)
    assert (first.fix is not None) == (verdict == "FAIL")


def test_a_plan_says_what_would_run(capsys, monkeypatch):
    """
    Sources with their kind, what stands in, how many records; and that it would run.
    """
    monkeypatch.setenv("BOND_PLUGINS", "ccxt,sim,x,builtin")
    assert main(["plan", "BTC and ETH price every 5s"]) == 0

    said = capsys.readouterr().out
    assert "binance  ccxt  trades  2 symbols  pushed" in said
    assert "stands in" in said
    assert "records     24 a minute" in said


def test_a_plan_names_the_keys_that_are_missing(capsys, monkeypatch):
    """
    The rest is planned all the same; the status is 1, and no id is given for what can't run.
    """
    monkeypatch.setenv("BOND_PLUGINS", "ccxt,sim,x,builtin")
    monkeypatch.delenv("X_BEARER", raising=False)
    assert main(["plan", "BTC price + tweets every 5s", "--json"]) == 1

    plan = json.loads(capsys.readouterr().out)
    assert plan["missing"] == ["X_BEARER for x"]
    assert plan["stream_id"] is None
    assert not any(row["simulated"] for row in plan["sources"])

    assert main(["plan", "BTC price + tweets every 5s", "--simulate"]) == 0
    assert "SIMULATED" in capsys.readouterr().out


def test_a_plan_counts_what_is_asked(capsys, monkeypatch, tmp_path):
    """
    A polled source is asked once a symbol and poll.
    """
    monkeypatch.setenv("BOND_PLUGINS", "ccxt,sim,builtin")
    source = {"type": "ccxt.ticker", "exchanges": ["okx"], "interval_sec": 5}
    file = tmp_path / "spec.json"
    file.write_text(json.dumps({"sources": [source], "symbols": ["BTC/USDT", "ETH/USDT"]}))
    assert main(["plan", str(file), "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["requests_per_min"] == 24


def test_a_code_is_explained(capsys):
    """
    What stands in the catalogue, and a suggestion for what does not.
    """
    assert main(["errors", "slow"]) == 0
    assert CATALOGUE["slow"].remedy in capsys.readouterr().out

    assert main(["errors"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CATALOGUE)

    assert main(["errors", "slo"]) == 1
    assert "try: bond errors slow" in capsys.readouterr().err


BASH = shutil.which("bash")


@pytest.mark.skipif(BASH is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["expl"], ["explain"]),
        (["plugins", "d"], ["doctor", "docs", "disable"]),
        (["listen", "--format", ""], ["table", "json", "csv"]),
        (["listen", "BTC price", "--lim"], ["--limit"]),
        (["plugins", "new", "acme", "--kind", "we"], ["websocket"]),
        (["secret", "n"], ["new"]),
        (["listen", "--for", ""], []),
    ],
    ids=" ".join,
)
def test_bash_completes(typed, offered):
    """
    Commands, their own commands, options, and what options take; in a real bash.
    """
    script = f"""{SCRIPTS["bash"](levels())}
COMP_WORDS=(bond "$@"); COMP_CWORD=$#; _bond
((${{#COMPREPLY[@]}})) && printf '%s\\n' "${{COMPREPLY[@]}}"; true"""
    done = subprocess.run(
        [BASH, "--norc", "-c", script, "bash", *typed],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip

    assert done.stderr == ""
    assert done.stdout.split() == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_takes_its_script(shell):
    """
    It has no mistake in it, says the shell itself.
    """
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    done = subprocess.run(
        [shell, "-n"], input=SCRIPTS[shell](levels()),
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", SCRIPTS)
def test_every_command_and_option_is_completed(shell):
    """
    The scripts are made from the parsers, and leave nothing out.
    """
    script = SCRIPTS[shell](levels())

    assert all(name in script for name in COMMANDS)
    for level in levels():
        for option in level.options:
            assert max(option.flags, key=len).removeprefix("--") in script


def test_csv_has_a_head_and_says_what_is_simulated():
    """
    Unknown is nothing, a true zero is zero; a column that comes later is told, not lost silently.
    """
    out, err = io.StringIO(), io.StringIO()
    lines = CsvLines(out, err)
    sources = {"okx": a_source(simulated=True, status="stale")}
    lines.show(a_record(price_avg=None, volume_sum=0.0, sources=sources))
    lines.show(a_record(price_avg=1.5, volume_sum=2.0, tweets=3, sources=sources))

    head, first, second = out.getvalue().splitlines()
    assert head.endswith(",price_avg,volume_sum,simulated,sources,notices")
    assert first.endswith(",,0.0,true,okx=stale,")
    assert second.endswith(",1.5,2.0,true,okx=stale,")
    assert err.getvalue() == "csv: no column for tweets, which came later; JSON has it\n"


def test_progress_is_for_people():
    """
    A terminal is told how many of how many and how long it may take; a file nothing.
    """

    class Screen(io.StringIO):
        def isatty(self):
            return True

    now_s = 0.0
    screen, file = Screen(), io.StringIO()
    shown = Progress(screen, total=4, monotonic=lambda: now_s)
    silent = Progress(file, total=4, monotonic=lambda: now_s)
    for now_s in (10.0, 10.1, 20.0):  # noqa: B007 -- the clock above reads it
        shown.step()
        silent.step()

    assert screen.getvalue().count("\r") == 2, "not with each step"
    assert shown.line() == "3 of 4 records  75%  0:07 to go"
    shown.clear()
    assert screen.getvalue().endswith("\r\x1b[K")
    assert file.getvalue() == ""
