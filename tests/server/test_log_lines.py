from __future__ import annotations

import asyncio
import json
import logging

import pytest

from bond_server import engine
from bond_server.logs import JsonLines, Redact, TextLines
from bond_server.telemetry.context import REQUEST_ID, STREAM_ID, bound
from tests.server.running import SilentPipeline, serving

TOKEN = "1761053465.f1189e3ca7ce6df8"
STREAM = "8f2a1c9d4b3e7a10"


@pytest.fixture(name="ids")
def _ids():
    """Bind a request and a stream, as around a request."""
    tokens = REQUEST_ID.set("req_1"), STREAM_ID.set(STREAM)
    yield {"request_id": "req_1", "stream_id": STREAM}
    REQUEST_ID.reset(tokens[0])
    STREAM_ID.reset(tokens[1])


def line(formatter, log):
    """Return what one call of a logger prints."""
    lines = []

    class Keep(logging.Handler):
        def emit(self, record):
            lines.append(self.format(record))

    logger = logging.Logger("bond.test")  # noqa: LOG001 -- one of its own, with one handler
    handler = Keep()
    handler.setFormatter(formatter)
    handler.addFilter(Redact())
    logger.addHandler(handler)
    log(logger)
    [said] = lines
    return said


def test_a_line_of_json_says_what_where_and_for_whom(ids):
    """
    Level, logger, message and ids; what came with `extra`; an exception as its traceback.
    """

    def log(logger):
        try:
            int(TOKEN)
        except ValueError:
            logger.exception("%s of %d", "one", 2, extra={"venue": "okx", "at": {"t": TOKEN}})

    said = json.loads(line(JsonLines(), log))

    assert said.pop("ts").endswith("Z")
    error = said.pop("error")
    assert error.startswith("Traceback")
    assert "ValueError: invalid literal" in error
    assert TOKEN not in error
    assert said == ids | {
        "level": "error", "logger": "bond.test", "message": "one of 2", "venue": "okx",
        "at": "{'t': '***'}",
    }  # fmt: skip


def test_a_line_of_text_ends_with_the_ids(ids):
    """
    Where nothing is bound, nothing is added.
    """
    said = line(TextLines(), lambda logger: logger.warning("it is late"))
    assert said.endswith(f"WARNING bond.test: it is late [request_id=req_1 stream_id={STREAM}]")
    REQUEST_ID.set(None)
    STREAM_ID.set(None)
    said = line(TextLines(), lambda logger: logger.warning("it is late"))
    assert said.endswith("it is late")


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()], ids=["json", "text"])
def test_a_token_that_shows_only_in_the_whole_is_taken_out(formatter):
    """
    Neither the message nor its argument shows that this is one.
    """
    said = line(formatter, lambda logger: logger.info("GET /ws/x?token=%s HTTP/1.1", "opensesame"))

    assert "opensesame" not in said
    assert "token=*** HTTP/1.1" in said


def test_a_wrong_format_is_shown_and_stops_nobody():
    """
    Neither an exception at whoever logs, nor a token in what is said about it.
    """
    wrong = "%d of %s"
    said = line(TextLines(), lambda logger: logger.info(wrong, f"token={TOKEN}"))

    assert "%d of %s ('token=***" in said


def test_a_stream_does_not_log_as_the_request_that_created_it(monkeypatch):
    """
    What runs for the stream is bound to it, and to no request.
    """
    seen = []

    class Telling(SilentPipeline):
        async def run(self):
            seen.append(bound())
            await super().run()

    async def run():
        async with serving(monkeypatch) as server:
            monkeypatch.setattr(engine, "Pipeline", Telling)
            created = await server.create()
            return created["stream_id"]

    stream_id = asyncio.run(run())

    assert seen == [{"stream_id": stream_id}]
