"""What the server logs, and how tokens are kept out of it.

uvicorn logs every WebSocket's whole address on `uvicorn.error`, token included, whether
access is logged or not; at DEBUG `websockets` logs every header. So whatever is logged goes
through `Redact`, on the loggers and again on the handlers, since a logger's filter does
not see what comes from the loggers below it.
"""

from __future__ import annotations

import logging
import re
from typing import Any

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
        """Change the record in place; let every record pass."""
        if isinstance(record.msg, str):
            record.msg = redact(record.msg)
        else:
            record.msg = _redact_value(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(_redact_value(value) for value in record.args)
        elif record.args:
            record.args = {key: _redact_value(value) for key, value in record.args.items()}
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


def log_config(level: str) -> dict[str, Any]:
    """Return the logging configuration of a serving process, for `logging.config.dictConfig`.

    Args:
        level: Of everything: `debug`, `info`, `warning` or `error`.
    """
    line = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"redact": {"()": "bond_server.logs.Redact"}},
        "formatters": {"line": {"format": line}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": "line",
                "filters": ["redact"],
            }
        },
        "loggers": {
            name: {"level": level.upper(), "filters": ["redact"]} for name in LOGGERS if name
        },
        "root": {"level": level.upper(), "handlers": ["stderr"], "filters": ["redact"]},
    }


def _redact_value(value: object) -> object:
    """Keep what shows no token as it is, so that `%d` still gets its number."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = str(value)
    hidden = redact(text)
    return value if hidden == text else hidden
