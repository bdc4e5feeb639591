from __future__ import annotations

import logging

import pytest

from bond_server.logs import Redact, install_redaction, redact

PROTOCOL = "Sec-WebSocket-Protocol: bond.plain, bond.token.***"
TOKEN = "1761053465.f1189e3ca7ce6df8"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"GET /ws/8f2a?token={TOKEN}&from=now-5m", "GET /ws/8f2a?token=***&from=now-5m"),
        ("/ws/x?token=whatever it was", "/ws/x?token=*** it was"),
        ("Authorization: Bearer bk_1_abc, more", "Authorization: Bearer ***, more"),
        (f'{{"access_token": "{TOKEN}"}}', '{"access_token": "***"}'),
        (f"8f2a1c9d4b3e7a10.{TOKEN}", "***"),
        (f"token%3D{TOKEN}", "token%3D***"),
        (f"/ws/x?ticket=bt_{'a' * 43}&slow=conflate", "/ws/x?ticket=***&slow=conflate"),
        (f"/ws/x?token={TOKEN}%00.rest", "/ws/x?token=***"),
        (f"Sec-WebSocket-Protocol: bond.plain, bond.token.{'a' * 36}", PROTOCOL),
        (f"key bk_1f2e3d4c_{'-' * 43} and b2.0123abcd.{'e' * 80}.{'_' * 43}", "key *** and ***"),
        ("stream 8f2a1c9d4b3e7a10 at 1761053465.5", "stream 8f2a1c9d4b3e7a10 at 1761053465.5"),
    ],
)  # fmt: skip
def test_tokens_are_taken_out_and_nothing_else(text, shown):
    """
    By their name or by their shape, wherever they stand.
    """
    assert redact(text) == shown


def logged(log):
    """Return what a handler behind the filter prints."""
    lines = []

    class Keep(logging.Handler):
        def emit(self, record):
            lines.append(self.format(record))

    logger = logging.getLogger(f"tests.{id(lines)}")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addFilter(Redact())
    logger.addHandler(Keep())
    log(logger)
    return "\n".join(lines)


def test_arguments_and_tracebacks_are_looked_at_too():
    """
    Numbers stay numbers for `%d`; objects are looked at as they print.
    """

    class Request:
        def __str__(self):
            return f"/ws/x?token={TOKEN}"

    def log(logger):
        logger.info('%s - "WebSocket %s" %d', "peer", f"/ws/x?token={TOKEN}", 403)
        logger.info("%(path)s took %(ms).1f", {"path": Request(), "ms": 1.25})
        logger.info(Request())
        try:
            int(f"no such thing: {TOKEN}")
        except ValueError:
            logger.exception("it failed for %s", Request())

    said = logged(log)

    assert TOKEN not in said
    assert '"WebSocket /ws/x?token=***" 403' in said
    assert "no such thing: ***" in said


def test_the_filter_stands_on_each_logger_once():
    """
    Installing it twice changes nothing.
    """
    install_redaction()
    install_redaction()

    for name in ("uvicorn.error", "uvicorn.access", "litestar", ""):
        found = [f for f in logging.getLogger(name).filters if isinstance(f, Redact)]
        assert len(found) == 1
