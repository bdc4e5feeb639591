from __future__ import annotations

import pickle

import pytest

from ekko import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    EkkoError,
    LocalModeError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RunningLoopError,
    ServerError,
    StreamDeletedError,
    StreamRefusedError,
    UnexpectedAnswerError,
)
from ekko.errors import api_error


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (413, BadRequestError),
        (415, APIError),
        (422, BadRequestError),
        (429, RateLimitError),
        (500, ServerError),
        (503, ServerError),
    ],
)
def test_each_status_has_its_error(status, kind):
    """A caller can catch what it can do something about."""
    error = api_error(status, {"code": "c", "detail": "d"})

    assert type(error) is kind
    assert (error.status, error.code, error.detail) == (status, "c", "d")


def asked(text, *problems, **fields):
    """The text of a 422 about a sentence."""
    body = {"code": "c", "detail": "Wrong.", "errors": list(problems), **fields}
    return str(api_error(422, body, asked={"natural_language": text})).splitlines()


def test_two_mistakes_in_one_sentence_share_its_line():
    """The sentence stands there once, each mistake underlined below it."""
    lines = asked(
        "BCT price on binanse",
        {"pointer": "/natural_language", "span": [0, 3], "did_you_mean": ["BTC", "BCH"]},
        {"pointer": "/natural_language", "span": [13, 20], "did_you_mean": ["binance"]},
    )

    assert lines == [
        "Wrong.",
        "  BCT price on binanse",
        "  ^^^ did you mean BTC or BCH?",
        "               ^^^^^^^ did you mean binance?",
        "  [c, HTTP 422]",
    ]


def test_wide_letters_are_underlined_where_they_stand():
    """A terminal gives two columns to a wide letter and none to an accent that combines."""
    lines = asked("比特 e\u0301 BCT", {"span": [6, 9]})

    assert lines[1:3] == ["  比特 e\u0301 BCT", "         ^^^"]


def test_a_line_break_in_the_sentence_breaks_no_underline():
    """Control characters show as spaces."""
    assert asked("BTC\nBCT\x1b", {"span": [4, 7]})[1:3] == ["  BTC BCT ", "      ^^^"]


@pytest.mark.parametrize("span", [[5, 99], [-1, 2], [3, 1], [1], "1-2", [None, 2], None])
def test_a_span_that_does_not_fit_underlines_nothing(span):
    """A server's slip costs the underline, not the error."""
    lines = asked("BTC", {"pointer": "/natural_language", "span": span, "text": "BCT"})

    assert lines == ["Wrong.", "  /natural_language 'BCT'", "  [c, HTTP 422]"]


def test_a_mistake_in_a_spec_is_shown_by_its_path():
    """Where there is no sentence, the pointer says where."""
    body = {
        "code": "unknown_source",
        "detail": "Unknown source.",
        "errors": [{"pointer": "/spec/sources/0/type", "text": "cxt", "did_you_mean": ["ccxt"]}],
    }
    sent = {"spec": {"sources": [{"type": "cxt"}]}}

    assert str(api_error(422, body, asked=sent)).splitlines() == [
        "Unknown source.",
        "  /spec/sources/0/type 'cxt': did you mean ccxt?",
        "  [unknown_source, HTTP 422]",
    ]


@pytest.mark.parametrize("body", [None, "<html>", [], 3, {"errors": "x"}, {"errors": [None, 1]}])
def test_a_body_that_is_no_problem_leaves_the_status(body):
    """A proxy's own error page still becomes an error that says something."""
    error = api_error(502, body)

    assert str(error) == "the server answered 502\n  [http_502, HTTP 502]"
    assert error.retryable


def test_a_limit_says_how_long_to_wait():
    """The text of a 429 holds the pause, its fields the numbers."""
    body = {"code": "stream_limit", "detail": "5 of 5 streams are in use.", "limit": 5, "used": 5}
    error = api_error(429, body, retry_after_s=60.0)

    assert (error.limit, error.used, error.retry_after_s) == (5, 5, 60.0)
    assert str(error).splitlines()[1] == "  wait: 60 s"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (APIConnectionError("http://localhost:8000", "refused"), "no answer from http://localhost"),
        (UnexpectedAnswerError("http://localhost:8000", "answered with no JSON"), "Is that a Bond"),
        (StreamDeletedError("8f2a", "it was deleted", "1000-0"), "it had come to 1000-0"),
        (StreamRefusedError("8f2a", "closed with 1009"), "stream 8f2a: closed with 1009"),
        (LocalModeError("bond_server"), "pip install -e '.[server]'"),
        (RunningLoopError(), "async for event in listen(...)"),
        (api_error(429, {"detail": "Too much.", "limit": 5}), "Too much."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, EkkoError) else "",
)
def test_every_error_says_what_to_do_and_survives_pickling(error, says):
    """The text is made from the fields, which go through a process pool unharmed."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own

    assert says in str(error)
    assert (type(copy), str(copy)) == (type(error), str(error))
    assert isinstance(error, EkkoError)
