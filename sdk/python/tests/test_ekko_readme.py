from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize(
    "program", PROGRAMS, ids=["listen", "sync", "client", "gaps", "tables", "errors"]
)
def test_the_readme_s_programs_run(bond, kit, monkeypatch, capsys, program):
    """Each program of the README does what stands there, against a real server."""
    bond.records = [kit.a_record(1000), kit.a_record(2000)]
    bond.finished = True
    if "to_polars" in program:
        pytest.importorskip("polars")
        pytest.importorskip("pandas")
    bond.keeps_all = True  # a stream that is live already, as seen by someone who came in time
    if "binanse" in program:
        wrong = {"pointer": "/natural_language", "span": [13, 20], "did_you_mean": ["binance"]}
        problem = kit.a_problem(422, code="unknown_exchange", detail="Unknown.", errors=[wrong])
        bond.answers.append(("POST", "/v1/streams", problem))

    with bond.running_in_a_thread():
        monkeypatch.setenv("EKKO_API_URL", bond.url)
        code = compile(program, str(README), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, {})  # noqa: S307 - our own README
        if inspect.iscoroutine(running):
            asyncio.run(awaited(running))

    printed = capsys.readouterr().out
    assert "68123.5" in printed or "^^^^^^^ did you mean binance?" in printed


async def awaited(program):
    """Run a program with `await` at its top."""
    await program
