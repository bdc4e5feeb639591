"""What Bond's earlier documentation shows still works: its Python runs, its JSON is answered.

Stand-ins: this machine's server for every host, simulated sources, its tokens for those in the
text, and `print` that ends an endless loop. What differs stands in docs/earlier.md.
"""

from __future__ import annotations

import ast
import asyncio
import concurrent.futures
import hashlib
import hmac
import inspect
import json
import re
import shlex
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from websockets.sync.client import connect

from ekko import EkkoClient, EkkoClientSync
from tests.journeys.command_line import serving
from tests.journeys.seed_blocks import blocks_of

SECRET = "0123456789abcdef" * 4
BLOCKS = {block.name: block for draft in ("000", "001") for block in blocks_of(draft)}
PAGE = Path(__file__).parents[2] / "docs" / "earlier.md"
SENTENCE = "BTC price + tweets every 5s"

# Shell: it builds what has another name here, or isn't about Bond; see docs/earlier.md.
NOT_RUN = {
    "000:29", "000:156", "000:361", "000:367", "000:373", "000:379", "000:385", "000:391",
    "001:62", "001:158", "001:172", "001:187", "001:336", "001:348",
}  # fmt: skip
NO_CODE = {"000:73", "000:116", "001:13"}
ENOUGH = {"001:91": 2, "001:210": 2}  # lines until a program is left; else one a statement

pytestmark = pytest.mark.skipif(not BLOCKS, reason="the earlier documentation isn't there")


class Enough(BaseException):
    """Leaves a program that would go on for ever."""


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory):
    """The address of a simulating server."""
    folder = tmp_path_factory.mktemp("server")
    with (
        serving(folder, BOND_SECRET=SECRET, BOND_MAX_STREAMS="30") as address,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("EKKO_API_URL", address)
        yield address


@pytest.fixture(scope="module", name="stream")
def _stream(server):
    """The stream that most of the blocks are about."""
    return EkkoClientSync(server).create_stream(SENTENCE)


def here(text, server):
    """Return a text with this machine's server where it names another."""
    text = text.replace("http://localhost:8000", server)
    return text.replace("ws://localhost:8080", server.replace("http", "ws"))


# Python


@pytest.fixture(scope="module", name="printed")
def _printed(server, stream):
    """What the Python blocks print, by block; they run side by side."""
    names = [b.name for b in BLOCKS.values() if b.kind == "python" and b.name != "001:311"]
    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        runs = {name: pool.submit(run_program, BLOCKS[name], server, stream) for name in names}
        return {name: run.result(timeout=120) for name, run in runs.items()}


def run_program(block, server, stream):
    """Run a program statement by statement; return the lines that it printed."""
    lines = []
    given = {
        "client": EkkoClient(server),
        "stream_id": stream.stream_id,
        "token": stream.access_token,
        "access_token": stream.access_token,
    }
    for statement in ast.parse(here(block.text, server)).body:
        before = len(lines)
        for attempt in range(4):
            del lines[before:]  # what a run that broke off had printed
            try:
                run_statement(statement, given, lines, ENOUGH.get(block.name, 1))
            except TypeError as error:
                # A window without a trade has no price: the programs don't foresee it.
                if "NoneType.__format__" not in str(error) or attempt == 3:
                    raise
            else:
                break
    return lines


def run_statement(statement, names, lines, enough):
    """Run a statement, which may await; an endless one until it has printed enough."""
    already = len(lines)

    def say(*words):
        lines.append(" ".join(map(str, words)))
        if len(lines) - already >= enough:
            raise Enough

    names["print"] = say
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(ast.Module([statement], []), "<block>", "exec", flags)
    try:
        running = eval(code, names)  # noqa: S307 - our own documentation
        if inspect.iscoroutine(running):
            asyncio.run(within(60, running))
    except Enough:
        pass


async def within(seconds, running):
    """Await something, but not for ever."""
    async with asyncio.timeout(seconds):
        await running


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("000:64", [r"Price: (\d+\.\d+|None), Tweets: (\d+|None)"]),
        ("000:162", [r"Event\(\{.*'price_avg'.*\}\)", r"ETH: \$\d+\.\d\d"]),
        ("001:73", []),
        ("001:91", [r"Stream created: [0-9a-f]{16}", r"Price: \$\d+\.\d\d, Tweets: (\d+|None)"]),
        ("001:115", [r"BTC: \$\d\d,\d\d\d\.\d\d"]),
        ("001:210", [r"API Status: .*", r"Active streams: \d+"]),
        ("001:286", [r"Event\(\{.*\}\)"]),
        ("001:297", [r"Event\(\{.*\}\)"]),
    ],
)
def test_a_program_prints_what_it_says(printed, name, expected):
    """
    Prices, counts, streams: of this machine's simulated market.
    """
    said = printed[name]

    assert len(said) == len(expected), said
    for line, pattern in zip(said, expected, strict=True):
        assert re.fullmatch(pattern, line), line


def test_the_token_check_that_is_shown_accepts_our_tokens(stream):
    """
    A token's form and signature are those of the text; secrets are bytes where it has text.
    """
    body = textwrap.indent(BLOCKS["001:311"].text, "    ")
    names = {
        "time": time,
        "sha256": hashlib.sha256,
        "hmac": SimpleNamespace(
            new=lambda key, message, kind: hmac.new(key.encode(), message.encode(), kind),
            compare_digest=hmac.compare_digest,
        ),
    }
    exec(f"def check(token, stream_id, secret):\n{body}", names)  # noqa: S102 - as above
    check, token = names["check"], stream.access_token

    assert check(token, stream.stream_id, SECRET) is None
    assert check(token, stream.stream_id, "another") == "Invalid signature"
    assert check(f"1{token[10:]}", stream.stream_id, SECRET) == "Token expired"


def test_tokens_look_as_they_are_shown(stream):
    """
    Seconds since 1970, a dot, sixteen hex digits.
    """
    shown = re.search(r'^"(.*)"', BLOCKS["001:258"].text, re.MULTILINE)[1]

    for token in (shown, stream.access_token):
        assert re.fullmatch(r"\d{10}\.[0-9a-f]{16}", token)


# JSON and curl


def shown(name):
    """Return a block's JSON, without comments and dots."""
    text = re.sub(r"/\*.*?\*/", "", BLOCKS[name].text)
    return json.loads(text.replace("{...}", "{}"))


def alike(ours, theirs):
    """Whether a value is of the kind that is shown; what nobody knows may be null."""
    numbers = (int, float)
    if isinstance(theirs, numbers):
        return ours is None or isinstance(ours, numbers)
    return isinstance(ours, type(theirs))


def answered(answer, name, but=()):
    """Check that an answer has every field that is shown, of the same kind."""
    theirs = {key: value for key, value in shown(name).items() if key not in but}
    assert answer.keys() >= theirs.keys()
    for key, value in theirs.items():
        assert alike(answer[key], value), (key, answer[key])
    return answer


def test_curl_creates_a_stream(server):
    """
    The command as it stands, and an answer with what is shown.
    """
    words = shlex.split(here(BLOCKS["000:41"].text, server).replace("\\\n", " "))
    assert words[:3] == ["curl", "-X", "POST"]
    header, body = words[words.index("-H") + 1], words[words.index("-d") + 1]

    answer = httpx.post(words[3], headers=[header.split(": ")], content=body, trust_env=False)

    assert answer.status_code in {200, 201}
    for name in ("000:48", "000:242"):
        ours = answered(answer.json(), name)
        host = server.removeprefix("http://")
        assert re.fullmatch(r"[0-9a-f]{16}", ours["stream_id"])
        assert ours["ws_url"].startswith(f"ws://{host}/ws/{ours['stream_id']}?token=")


@pytest.mark.parametrize("name", ["000:220", "000:228"])
def test_a_request_as_shown_is_understood(server, name):
    """
    A sentence, and a spec.
    """
    answer = httpx.post(f"{server}/v1/streams", json=shown(name), trust_env=False)

    assert answer.status_code in {200, 201}, answer.text


def test_a_source_as_shown_is_understood(server):
    """
    In a spec, beside a market.
    """
    spec = {"sources": [{"type": "ccxt"}, shown("000:195")], "symbols": ["SOL/USDT"]}

    answer = httpx.post(f"{server}/v1/explain", json={"spec": spec}, trust_env=False)

    assert answer.status_code == 200, answer.text
    source = answer.json()["spec"]["sources"][-1]
    assert sorted(source["event_types"]) == sorted(shown("000:195")["event_types"])


def test_a_fresh_token_is_answered_as_shown(server, stream):
    """
    The token that is shown holds the stream's id, too; ours don't, and may.
    """
    where = f"{server}/v1/streams/{stream.stream_id}/token"

    ours = answered(httpx.post(where, trust_env=False).json(), "000:264")

    assert ours["expires_in_sec"] == shown("000:264")["expires_in_sec"]
    assert shown("000:264")["token"].count(".") >= 2
    received(
        f"{server}/ws/{stream.stream_id}?token={stream.stream_id}.{ours['token']}&from=now-60s"
    )


def test_metrics_are_answered_as_shown(server, stream):
    """
    Every field, and more.
    """
    where = f"{server}/v1/streams/{stream.stream_id}/metrics"

    answered(httpx.get(where, trust_env=False).json(), "000:278")


@pytest.mark.parametrize("name", ["000:343", "001:124"])
def test_an_event_has_the_fields_that_are_shown(server, name):
    """
    In a stream of those sources; `custom_count` only where there is a custom one.
    """
    sentence = "BTC price + bid + ask + on-chain activity + tweets every 1s"
    (event,) = EkkoClientSync(server).listen(sentence, limit=1, seconds=60)

    ours = answered(event, name, but={"custom_count"})

    assert "custom_count" not in ours
    assert ours["raw_data"].keys() >= shown(name)["raw_data"].keys()


# WebSocket


def received(url):
    """Return the first record that comes."""
    with connect(url.replace("http", "ws"), proxy=None, open_timeout=20) as socket:
        return json.loads(socket.recv(timeout=60))


@pytest.mark.parametrize("name", ["000:59", "000:307"])
def test_a_websocket_client_is_served(server, stream, name):
    """
    Each address that wscat is given, with the stream's own id and token.
    """
    urls = re.findall(r'wscat -c "(.*?)"', here(BLOCKS[name].text, server))

    assert urls
    for url in urls:
        with_id = re.sub(r"/ws/[^?]+", f"/ws/{stream.stream_id}", url)
        record = received(with_id.replace("...", stream.access_token))
        assert record["stream_id"] == stream.stream_id


@pytest.mark.parametrize("sentence", re.findall('"(.*)"', BLOCKS["000:327"].text) if BLOCKS else ())
def test_a_sentence_is_understood(server, sentence):
    """
    Those that are given as examples.
    """
    assert EkkoClientSync(server).explain(sentence).spec["symbols"]


# The page


def test_nothing_is_left_out():
    """
    Each block with Python, JSON or curl is used above, and the page says what isn't run and why.
    """
    source = Path(__file__).read_text(encoding="utf-8")
    used = {name for name in BLOCKS if source.count(f'"{name}"') and name not in NOT_RUN | NO_CODE}

    assert used | NOT_RUN | NO_CODE == BLOCKS.keys()
    page = PAGE.read_text(encoding="utf-8")
    for command in ("docker compose", "make ", "git clone", "openssl", "BOND_TOKEN_TTL"):
        assert command in page
