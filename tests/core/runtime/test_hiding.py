"""No secret of a connector's settings shows in what it logs, raises or tells."""

from __future__ import annotations

import asyncio
import logging

import attrs
import pytest

from bond_core.errors import Fatal, Retryable
from bond_core.model.record import Notice
from bond_core.runtime.hiding import Hiding
from bond_core.runtime.supervisor import Supervisor
from bond_core.settings import Secret
from bond_core.testing.builders import START_NS
from bond_core.testing.manual_clock import ManualClock, settle
from bond_core.testing.scripted_connector import (
    RecordingListener,
    Script,
    failing,
    listening,
    scripted_spec,
)

CANARY = "cánary/8f2e+1"


@attrs.frozen
class Config:
    """Settings with secrets, one of them deep inside."""

    script: Script
    key: Secret = attrs.field(factory=lambda: Secret(CANARY))
    more: object = attrs.field(factory=lambda: {"deep": [Secret("other-secret")]})


def heard_by(*runs):
    """Return what an ear and the log heard of a connector that holds these runs."""

    async def go():
        import random

        supervisor = Supervisor(
            scripted_spec(), Config(Script(*runs)), name="s", clock=ManualClock(START_NS),
            chance=random.Random(1), simulated_at=None,
        )  # fmt: skip
        ear = RecordingListener()
        supervisor.feed("trades", "BTC/USDT").attach(ear, None)
        running = asyncio.create_task(supervisor.run())
        await settle()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return ear

    return asyncio.run(go())


@pytest.mark.parametrize("error", [Fatal, Retryable, ValueError, OSError])
def test_a_reason_has_no_secret(error, caplog):
    """Whatever a connector raises: the records' reason and the log, traceback included."""
    caplog.set_level(logging.DEBUG)

    ear = heard_by(failing(error(f"https://x.example/?key={CANARY} failed")))

    assert "https://x.example/?key=*** failed" in ear.reason
    assert "8f2e" not in caplog.text
    assert "***" in caplog.text or error is Fatal


def test_what_it_tells_has_no_secret():
    """A symbol's failure, a refusal and a gap are told in its own words, less the secret."""

    async def tell(ctx):
        ctx.failed("trades", "BTC/USDT", f"no {CANARY}")
        ctx.reject(f"bad {CANARY}")
        ctx.gap("trades", None, from_ns=1, to_ns=2, detail=f"gone {CANARY}")
        await listening()(ctx)

    ear = heard_by(tell)

    assert ("failed", "no ***") in ear.statuses
    assert ear.rejected == {"bad ***": 1}
    assert ear.gaps == [Notice(code="gap", detail="gone ***", from_ns=1, to_ns=2)]


def test_the_log_has_no_secret_in_any_form(caplog):
    """As it is, in a URL, in JSON, in an argument, in a traceback, two levels down."""
    caplog.set_level(logging.DEBUG, logger="bond.connector.hidden")
    log = Hiding(Config(Script())).logger("bond.connector.hidden")

    log.info("key %s and %s", CANARY, {"url": "c%C3%A1nary%2F8f2e%2B1"})
    log.debug('{"k": "c\\u00e1nary/8f2e+1"}, other-secret')
    try:
        int(CANARY)
    except ValueError:
        log.exception("it failed")

    assert "8f2e" not in caplog.text
    assert "other-secret" not in caplog.text
    assert "with base 10: '***'" in caplog.text
    assert [record.levelname for record in caplog.records] == ["INFO", "DEBUG", "ERROR"]


def test_the_log_heeds_its_level(caplog):
    """The level of the logger of that name counts, also when it changes later."""
    log = Hiding(Config(Script())).logger("bond.connector.level")
    named = logging.getLogger("bond.connector.level")

    for level in (logging.ERROR, logging.INFO):
        named.setLevel(level)
        log.info("at %d", level)
    named.setLevel(logging.NOTSET)

    assert caplog.messages == ["at 20"]


def test_without_secrets_nothing_is_touched():
    """A connector without secrets writes to the plain logger; a tiny secret tears nothing apart."""
    assert Hiding(3).logger("x") is logging.getLogger("x")
    assert Hiding(Secret("abc"))("abcdef") == "abcdef"
