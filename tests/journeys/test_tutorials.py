"""The tutorials: their code is what `bond plugins new` writes, and runs as it stands there."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from bond_core.plugin.hookspecs import AggregatorHooks, ConnectorHooks, ServerHooks, SinkHooks
from bond_server.scaffold.package import files_of
from tests.journeys.command_line import bond
from tests.journeys.installed import lay_out, on_path
from tests.journeys.sources import VENDOR, answering, first_record, path_of, pushing

DOCS = Path(__file__).parents[2] / "docs"
KINDS = ("poll", "websocket", "sdk", "aggregator", "sink")
FILE = re.compile(r"`(bond_acme/\w+\.py)`:\n\n```python\n(.*?\n)```", re.DOTALL)
SPEC = re.compile(r"```json\n(.*?)\n```", re.DOTALL)
EXPLAINED = re.compile(r"^\$ (bond explain .*)$", re.MULTILINE)
AT_MOST = {"poll": 10, "websocket": 16, "sdk": 16, "aggregator": 15, "sink": 20}
WORK = {"aggregator": "aggregator", "sink": "sink"}


def page(kind):
    """Return a tutorial's text."""
    return (DOCS / "tutorials" / f"{kind}.md").read_text(encoding="utf-8")


def code(kind):
    """Return a tutorial's Python, by file."""
    return dict(FILE.findall(page(kind)))


def package(kind):
    """Return the package that a reader of the tutorial has: its code, over what was written."""
    return files_of("acme", kind) | code(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_shows_what_is_written(kind):
    """
    Every module of the package stands on its page, as `bond plugins new` writes it.
    """
    made = files_of("acme", kind)
    modules = {path for path in made if path.startswith("bond_acme/")} - {"bond_acme/__init__.py"}

    assert code(kind) == {path: made[path] for path in modules}
    assert f"bond plugins new acme --kind {kind}" in page(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_author_writes_is_short(kind):
    """
    Lines of logic: from the first class on, without blank lines, comments and docstrings.
    """
    text = code(kind)[f"bond_acme/{WORK.get(kind, 'connector')}.py"]

    assert len(logic_lines(text)) <= AT_MOST[kind]


def logic_lines(text):
    """Return the numbers of the lines that do something, from the first class on."""
    begun, lines = False, set()
    quiet = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        begun = begun or token.string == "class"
        is_docstring = token.type == tokenize.STRING and token.string.startswith('"""')
        if begun and token.type not in (*quiet, tokenize.ENDMARKER) and not is_docstring:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return lines


@pytest.mark.parametrize("kind", KINDS)
def test_a_pages_tests_pass(tmp_path, kind):
    """
    The code of the page, installed, passes the conformance kit by `bond plugins test`.
    """
    lay_out(tmp_path, package(kind))

    done = bond("plugins", "test", "acme", env=path_of(tmp_path))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "sink"])
def test_a_pages_sentences_are_understood(tmp_path, kind):
    """
    What the page explains, explains itself once the page's code is installed.
    """
    lay_out(tmp_path, package(kind))
    commands = EXPLAINED.findall(page(kind))

    assert commands
    for command in commands:
        done = bond(*shlex.split(command)[1:], env={**path_of(tmp_path), "ACME_KEY": "k3y-k3y"})
        assert done.returncode == 0, done.stderr
        assert "acme" in done.stdout
        assert "needs" not in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("kind", "served", "field"), [("poll", answering, "ask_avg"), ("websocket", pushing, "trades")]
)
def test_a_pages_spec_runs(tmp_path, kind, served, field):
    """
    The spec of the page, with the address of a server that is there, gives records.
    """
    (text,) = SPEC.findall(page(kind))
    spec = json.loads(text)

    async def go():
        async with served() as url:
            spec["sources"][0]["url"] = url
            return await first_record(spec, field)

    lay_out(tmp_path, package(kind))
    with on_path(tmp_path):
        assert asyncio.run(go())["sources"]["acme"]["status"] == "live"


def test_the_sdk_pages_connector_runs(tmp_path, monkeypatch):
    """
    With a vendor's library where the page says that it goes.
    """
    monkeypatch.setenv("ACME_KEY", "a-real-key")
    lay_out(tmp_path, package("sdk") | {"bond_acme/vendor.py": VENDOR})
    sentence = shlex.split(EXPLAINED.findall(page("sdk"))[0])[2]

    with on_path(tmp_path):
        record = asyncio.run(first_record(sentence, "ask_avg"))

    assert record["ask_avg"] == 3.0


def test_the_aggregator_pages_field_is_computed(tmp_path):
    """
    The sentence of the page, simulated as the page does it.
    """
    lay_out(tmp_path, package("aggregator"))
    sentence = shlex.split(EXPLAINED.findall(page("aggregator"))[0])[2]

    with on_path(tmp_path):
        record = asyncio.run(first_record(sentence, "acme_typical_price", simulate=True))

    assert record["acme_typical_price"] > 0


def test_the_sink_pages_sink_writes(tmp_path, monkeypatch):
    """
    Open, two batches, close: a JSON object a line.
    """
    lay_out(tmp_path, package("sink"))
    program = (
        "import asyncio, types; from bond_acme.sink import Acme\n"
        "async def go():\n"
        "    sink = Acme(types.SimpleNamespace(path='out.jsonl'))\n"
        "    await sink.open(None)\n"
        "    await sink.write([{'id': '1-0'}, {'id': '1-1'}], None)\n"
        "    await sink.write([{'id': '2-0'}], None)\n"
        "    await sink.close()\n"
        "asyncio.run(go())"
    )
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60,
        env={**os.environ, **path_of(tmp_path)},
    )  # fmt: skip

    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["1-0", "1-1", "2-0"]


# The hook reference


def test_the_hook_reference_has_every_hook_as_it_is():
    """
    Its headings are the hooks' signatures, and begin with their docstrings; there are no others.
    """
    text = (DOCS / "hooks.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## `(.*?)`\n\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    hooks = {}
    for group in (ConnectorHooks, AggregatorHooks, SinkHooks, ServerHooks):
        for name, hook in vars(group).items():
            if name.startswith("bond_"):
                signature = inspect.signature(hook)
                shown = ", ".join(map(str, list(signature.parameters.values())[1:]))
                heading = f"{name}({shown}) -> {signature.return_annotation}".replace("'", "")
                hooks[heading] = inspect.getdoc(hook)

    assert sections.keys() == hooks.keys()
    for heading, said in hooks.items():
        assert sections[heading].startswith(said)


def test_the_pages_on_plugins_are_found_from_the_first_page():
    """
    Each stands in a table of contents.
    """
    first = (DOCS / "index.md").read_text(encoding="utf-8")
    tutorials = (DOCS / "tutorials" / "index.md").read_text(encoding="utf-8")

    assert {"tutorials/index", "hooks", "plugins"} <= set(first.split())
    assert set(KINDS) <= set(tutorials.split())
