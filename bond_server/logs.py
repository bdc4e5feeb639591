"""What the server logs, in which form, and how tokens are kept out of it.

uvicorn logs every WebSocket's whole address on `uvicorn.error`, token included, whether
access is logged or not; at DEBUG `websockets` logs every header. So whatever is logged goes
through `Redact`, on the loggers and again on the handlers, since a logger's filter does
not see what comes from the loggers below it. The formatters look once more, at the whole line.

A line of JSON is an object: `ts level logger message`, `request_id` and `stream_id` where they
are known, `error` with the traceback, and whatever the code said with `extra`.
"""

from __future__ import annotations

import logging
import re
from typing import Any, Literal

import attrs
import msgspec

from bond_core.wire.times import iso
from bond_server.telemetry.context import bound

LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "litestar", "bond", "")
HIDDEN = "***"

# By what they are called, to their end; then ours by their shape, wherever they stand.
_TOKENS = re.compile(
    r"(?<=token=)[^&\s\"'#]+"
    r"|(?<=ticket=)[^&\s\"'#]+"
    r"|(?<=bond\.token\.)[^\s\"',]+"
    r"|(?<=\bBearer\s)[^\s\"',]+"
    r"|(?:[0-9a-f]{16}\.)?(?<![0-9])[0-9]{10,12}\.[0-9a-f]{16}(?![0-9a-f])"
    r"|b2\.[0-9a-f]{8}\.[A-Za-z0-9_-]{16,}(?:\.[A-Za-z0-9_-]+)?"
    r"|b[kt]_(?:[a-z0-9]{4,16}_)?[A-Za-z0-9_-]{43}",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return the text with every token in it replaced."""
    return _TOKENS.sub(HIDDEN, text)


class Redact(logging.Filter):
    """Takes tokens out of a record: its message, its arguments, its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place; let every record pass.

        The whole message is looked at, since a token may only show where it and its arguments
        come together. Records without one stay as they are, for formatters that take arguments.
        """
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 -- a wrong format is shown, and stops nobody
            message, record.msg, record.args = "", f"{record.msg} {record.args}", ()
        hidden = redact(message or str(record.msg))
        if hidden != message:
            record.msg, record.args = hidden, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


def install_redaction() -> None:
    """Put `Redact` on every logger that may see an address; again does no harm."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(found, Redact) for found in logger.filters):
            logger.addFilter(Redact())


@attrs.frozen(kw_only=True)
class LogStyle:
    """How a serving process logs.

    Attributes:
        level: Of everything: `debug`, `info`, `warning` or `error`.
        format: Lines for people, or a JSON object a line.
    """

    level: str = "info"
    format: Literal["text", "json"] = "text"


class TextLines(logging.Formatter):
    """Lines for people; what they are about stands at their end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's name
        """Return the line, without what follows it."""
        ids = "".join(f" {name}={value}" for name, value in bound().items())
        return super().formatMessage(record) + (f" [{ids.strip()}]" if ids else "")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text without tokens."""
        return redact(super().format(record))


class JsonLines(logging.Formatter):
    """A JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON without tokens."""
        said = {key: _plain(value) for key, value in vars(record).items() if key not in _OF_LOGGING}
        body = said | {
            "ts": iso(round(record.created * 1000) * 1_000_000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
            **bound(),
        }
        trace = record.exc_text or (
            self.formatException(record.exc_info) if record.exc_info else None
        )
        if trace:
            body["error"] = redact(trace)
        return msgspec.json.encode(body).decode()


# What every record carries; all else came with `extra`. uvicorn adds a coloured message.
_OF_LOGGING = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def log_config(style: LogStyle) -> dict[str, Any]:
    """Return the logging configuration of a serving process, for `logging.config.dictConfig`."""
    level = style.level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"redact": {"()": "bond_server.logs.Redact"}},
        "formatters": {
            "text": {"()": "bond_server.logs.TextLines"},
            "json": {"()": "bond_server.logs.JsonLines"},
        },
        "handlers": {
            "stderr": {
                "class": "bond_server.log_outlet.Outlet",
                "formatter": style.format,
                "filters": ["redact"],
            }
        },
        "loggers": {name: {"level": level, "filters": ["redact"]} for name in LOGGERS if name},
        "root": {"level": level, "handlers": ["stderr"], "filters": ["redact"]},
    }


def _plain(value: object) -> object:
    """Return what came with `extra` as something JSON has, without tokens."""
    if value is None or isinstance(value, (bool, int)):
        return value
    return redact(str(value))
