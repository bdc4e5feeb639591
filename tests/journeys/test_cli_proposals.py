"""`bond` where a language model proposes what a sentence may mean: it is shown, and asked."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading

import pytest

from bond_core.testing.loopback_http import LoopbackHttp, Reply
from tests.journeys.command_line import BOND, TIMEOUT_S, bond, environment, serving

ODD = "flumph zork blarg bitcoin, 1 sec"
PROPOSED = "BTC/USDT price every 1s"


@pytest.fixture(name="model", scope="module")
def _model():
    """The environment of an endpoint whose model always writes the same."""
    content = json.dumps({"sentence": "BTC price every 1s"})
    body = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}
    loop, is_up, urls = asyncio.new_event_loop(), threading.Event(), []

    async def serve():
        async with LoopbackHttp(lambda _: Reply(body=json.dumps(body).encode())) as endpoint:
            urls.append(endpoint.url)
            is_up.set()
            await ended.wait()

    ended = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert is_up.wait(10)
    yield {"BOND_LLM_URL": f"{urls[0]}/v1"}
    loop.call_soon_threadsafe(ended.set)
    thread.join(10)
    loop.close()


def at_a_terminal(answer, *words, env):
    """What a command prints whose terminal is typed into; its exit status and both outputs."""
    if sys.platform == "win32":
        pytest.skip("there is no pty")
    ours, theirs = os.openpty()
    try:
        with subprocess.Popen(
            [*BOND, *words], stdin=theirs, stdout=subprocess.PIPE, stderr=theirs,
            env=environment(env), text=True, encoding="utf-8",
        ) as running:  # fmt: skip
            os.write(ours, f"{answer}\n".encode())
            printed, _ = running.communicate(timeout=TIMEOUT_S)
            return running.returncode, printed, os.read(ours, 65_536).decode()
    finally:
        os.close(theirs)
        os.close(ours)


def test_who_says_yes_gets_the_proposed_stream(model):
    """One record of it; without the yes there is none."""
    words = ("listen", ODD, "--simulate", "--limit", "1")

    status, printed, said = at_a_terminal("y", *words, env=model)
    assert status == 0, said
    assert f"proposed    {PROPOSED}" in said
    assert "run this? [y/N]" in said
    assert json.loads(printed)["symbol"] == "BTC/USDT"

    status, printed, said = at_a_terminal("", *words, env=model)
    assert (status, printed) == (1, "")
    assert "error[not_understood]" in said


def test_where_nobody_sits_it_is_printed_and_does_not_run(model):
    """With the command that runs it; explaining says the same."""
    for command in ("listen", "explain"):
        done = bond(command, ODD, env={**model, "BOND_SIMULATE": "1"})

        assert (done.returncode, done.stdout) == (1, "")
        assert "error[not_understood]" in done.stderr
        assert f'if that is meant: bond {command} "{PROPOSED}"' in done.stderr


def test_a_server_without_a_model_says_so(tmp_path):
    """The error that a server gives says how to get proposals, and so does the command line's."""
    with serving(tmp_path) as url:
        done = bond("listen", ODD, "--url", url)

    assert done.returncode == 1
    assert "DEEPSEEK_API_KEY" in done.stderr
    assert "DEEPSEEK_API_KEY" in bond("explain", ODD).stderr
