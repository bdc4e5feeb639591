"""`bond create`, `list`, `show`, `token`, `stop`: the life of a stream on a server."""

from __future__ import annotations

import json

import pytest

from bond_server.cli import main
from tests.journeys.command_line import bond, serving

SENTENCE = "BTC price + volume every 1s"


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("served")) as address:
        yield address


def asked(server, *words, status=0):
    """Run a command against the server, by the environment, and return what it printed."""
    done = bond(*words, env={"EKKO_API_URL": server})
    assert done.returncode == status, done.stderr
    return done


def test_a_stream_is_created_listed_shown_heard_and_stopped(server):
    """
    Each command takes the id that the one before gave.
    """
    made = json.loads(asked(server, "create", SENTENCE, "--label", "desk", "--json").stdout)
    stream_id = made["stream_id"]
    again = asked(server, "create", SENTENCE).stdout
    listed = asked(server, "list").stdout
    shown = json.loads(asked(server, "show", stream_id, "--json").stdout)
    lines = asked(server, "show", stream_id).stdout
    token = asked(server, "token", stream_id)
    kept = asked(server, "token", stream_id, "--persistent", "--label", "bot")
    stopped = asked(server, "stop", stream_id).stdout
    empty = asked(server, "list").stdout

    assert f"stream     {stream_id}\nwebsocket  ws://" in again
    assert listed.startswith(f"{stream_id}  ")
    assert listed.rstrip().endswith("BTC/USDT of ccxt  desk")
    assert shown["stream_id"] == stream_id
    assert "source    binance " in lines
    assert "SIMULATED" in lines
    assert len(token.stdout.split()) == 1
    assert token.stderr.startswith("good for 3600 s")
    assert "registered as" in kept.stderr
    assert stopped == f"{stream_id} is stopped\n"
    assert empty.startswith("no streams")


def test_what_the_server_refuses_is_said_as_here(server):
    """
    The words underlined and a command that works; an id that is none; each with status 1.
    """
    typo = asked(server, "create", "BTC price on binanse every 5s", status=1).stderr
    gone = asked(server, "show", "0" * 16, status=1).stderr

    assert "               ^^^^^^^ did you mean binance?" in typo
    assert 'try: bond create "BTC price on binance every 5s"' in typo
    assert gone.startswith("error[unknown_stream]")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "not a url", "http://[::1"])
def test_no_server_is_said(url, capsys):
    """
    Nobody answers, or it is no address: that is said, with how to start one, and no traceback.
    """
    assert main(["list", "--url", url]) == 1

    said = capsys.readouterr().err
    assert said.startswith(f"error[no_server]: no answer from {url}")
    assert "try: bond serve" in said


def test_an_id_is_never_another_address(server):
    """
    What is typed for an id stays one part of the path.
    """
    done = asked(server, "stop", "../sources", status=1)

    assert done.stderr.startswith(("error[unknown_stream]", "error[not_found]"))


def test_an_error_is_explained_by_the_server(server):
    """
    The link in a problem leads to what the catalogue says of its code.
    """
    import httpx

    problem = httpx.get(f"{server}/v1/streams/{'0' * 16}", trust_env=False).json()
    entry = httpx.get(f"{server}{problem['docs']}", trust_env=False).json()
    unknown = httpx.get(f"{server}/v1/errors/nothing", trust_env=False)
    listed = httpx.get(f"{server}/v1/errors", trust_env=False).json()

    assert entry["code"] == problem["code"] == "unknown_stream"
    assert entry["remedy"]
    assert unknown.status_code == 404
    assert entry in listed
