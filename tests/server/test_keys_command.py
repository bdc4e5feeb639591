"""`bond keys` as it is typed, and `bond serve` and `bond listen` with what it makes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys

import httpx
import pytest

from bond_server.auth.keys import Keys, key_file
from bond_server.cli import main
from tests.server.test_serve_process import BOND, bond_serve


@pytest.fixture(name="folder")
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BOND_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_key_is_made_listed_and_revoked(folder, capsys):
    """
    On stdout is the key and nothing else; the list shows it by its id, never its text.
    """
    assert main(["keys", "list"]) == 0
    assert "no keys" in capsys.readouterr().out

    assert main(["keys", "new", "--project", "desk", "--scopes", "streams:read,admin",
                 "--label", "risk bot"]) == 0  # fmt: skip
    made = capsys.readouterr()
    text = made.out.strip()
    assert re.fullmatch(r"bk_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", text)
    assert text not in made.err
    key_id = text.split("_")[1]
    assert Keys(key_file(folder)).find(text).label == "risk bot"

    assert main(["keys", "list"]) == 0
    said = capsys.readouterr().out
    assert said == f"{key_id}  desk  streams:read,admin  risk bot\n"
    assert main(["keys", "list", "--json"]) == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert (listed["key_id"], listed["revoked_at"]) == (key_id, None)

    assert main(["keys", "revoke", text]) == 0
    said = capsys.readouterr().out
    assert text not in said
    assert Keys(key_file(folder)).find(text) is None
    assert main(["keys", "list"]) == 0
    assert "revoked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["new", "--scopes", "all"], "unknown scope 'all'"),
        (["new", "--scopes", ""], "may do nothing"),
        (["new", "--project", "The Desk"], "no project's name"),
        (["revoke", "12345678"], "There is no key '12345678'"),
    ],
)
def test_what_makes_no_sense_is_said(folder, capsys, words, says):
    """
    Exit status 1, the reason on stderr, and nothing made.
    """
    assert main(["keys", *words]) == 1
    assert says in capsys.readouterr().err
    assert not (folder / "keys.json").exists()


def test_a_key_from_the_command_line_opens_the_real_server(folder, tmp_path, capsys):
    """
    `bond serve` asks for it, `bond listen --url` shows it, and no log of either tells it.
    """
    assert main(["keys", "new"]) == 0
    key = capsys.readouterr().out.strip()

    async def listen(address, **environ):
        spec = {"sources": [{"type": "ccxt", "exchanges": ["binance"]}], "symbols": ["BTC/USDT"],
                "interval_sec": 0.2, "simulate": True}  # fmt: skip
        (tmp_path / "stream.json").write_text(json.dumps(spec))
        program = await asyncio.create_subprocess_exec(
            *BOND, "listen", "stream.json", "--url", f"http://{address}", "--limit", "2",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=dict(os.environ) | environ, cwd=tmp_path,
        )  # fmt: skip
        async with asyncio.timeout(60):
            said, complained = await program.communicate()
        return program.returncode, said.decode(), complained.decode()

    async def run():
        async with bond_serve(tmp_path, "--log-level", "debug") as program:
            status, _, complained = await listen(program.address)
            assert status == 1
            assert "error[key_missing]" in complained
            status, said, complained = await listen(program.address, EKKO_API_KEY=key)
            assert status == 0, complained
            assert len(said.splitlines()) == 2
            async with httpx.AsyncClient(trust_env=False) as http:
                bearer = {"Authorization": f"Bearer {key}"}
                url = f"http://{program.address}/v1/streams"
                assert (await http.get(url, headers=bearer)).status_code == 200
                assert main(["keys", "revoke", key.split("_")[1]]) == 0
                assert (await http.get(url, headers=bearer)).status_code == 401
                assert (await http.get(url)).status_code == 401
            program.process.terminate()
            await program.read_to_the_end()
            assert key.rpartition("_")[2].encode() not in program.said
            assert key not in complained

    asyncio.run(run())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such exit status")
def test_it_does_not_start_where_others_reach_it_without_a_key(tmp_path):
    """
    On all addresses it ends with 78 and names what is missing; with a key it starts.
    """

    async def serve(**environ):
        program = await asyncio.create_subprocess_exec(
            *BOND, "serve", "--host", "0.0.0.0", "--port", "0",  # noqa: S104 -- what is tested
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=tmp_path,
            env=dict(os.environ) | {"BOND_DATA_DIR": str(tmp_path), "BOND_SECRET": "5" * 64}
            | environ,
        )  # fmt: skip
        async with asyncio.timeout(60):
            first = await program.stdout.readline()
            if first:
                program.terminate()
            _, said = await program.communicate()
        return program.returncode, first, said.decode()

    async def run():
        status, first, said = await serve()
        assert (status, first) == (78, b"")
        assert "BOND_OPEN" in said
        assert "bond keys new" in said
        for environ in ({"BOND_API_KEYS": f"bk_test1_{'a' * 43}"}, {"BOND_OPEN": "1"}):
            status, first, said = await serve(**environ)
            assert first.startswith(b"bond serves http://"), said
            assert status == 0

    asyncio.run(run())
