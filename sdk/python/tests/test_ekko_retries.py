from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from ekko import (
    APIConnectionError,
    RateLimitError,
    ServerError,
)
from ekko.backoff import Backoff
from ekko.errors import APIError
from ekko.transport import Transport, retry_after_s


def ask(bond, *answers, method="GET", repeatable=True, retries=2):
    """Ask once where the server gives these answers; return the outcome and the pauses."""
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    async def run():
        async with bond.running():
            path = f"/v1/streams/{bond.stream_id}/metrics"
            bond.answers.extend((method, path, answer) for answer in answers)
            backoff = Backoff(first_s=0.5, cap_s=8.0, random=lambda: 0.0)
            transport = Transport(api_url=bond.url, retries=retries, backoff=backoff, sleep=sleep)
            try:
                return await transport.request(method, path, repeatable=repeatable)
            except APIError as error:
                return error

    return asyncio.run(run()), pauses


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(bond, kit, status):
    """Two failures that may pass cost two pauses, and the caller sees neither."""
    outcome, pauses = ask(bond, *(kit.a_problem(status) for _ in range(2)))

    assert outcome["msgs_in"] == 245
    assert pauses == [0.25, 0.5]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_what_is_wrong_is_not_tried_again(bond, kit, status):
    """A request that was refused for what it is stays refused."""
    outcome, pauses = ask(bond, kit.a_problem(status))

    assert outcome.status == status
    assert pauses == []


def test_the_server_knows_best_whether_to_try_again(bond, kit):
    """`retryable` in the problem decides, both ways."""
    outcome, pauses = ask(bond, kit.a_problem(409, retryable=True))
    assert (outcome["msgs_in"], len(pauses)) == (245, 1)

    outcome, pauses = ask(bond, kit.a_problem(429, retryable=False))
    assert (type(outcome), pauses) == (RateLimitError, [])


def test_retries_end(bond, kit):
    """After two retries the error comes out."""
    outcome, pauses = ask(bond, *(kit.a_problem(503) for _ in range(3)))

    assert type(outcome) is ServerError
    assert len(pauses) == 2


def test_retry_after_is_honoured(bond, kit):
    """The server's own pause is taken; one that is too long becomes the caller's decision."""
    outcome, pauses = ask(bond, kit.a_problem(429, headers={"Retry-After": "7"}))
    assert (outcome["msgs_in"], pauses) == (245, [7.0])

    outcome, pauses = ask(
        bond, kit.a_problem(429, headers={"Retry-After": "3600"}, limit=5, used=5, code="limit")
    )
    assert (outcome.retry_after_s, outcome.limit, outcome.used) == (3600.0, 5, 5)
    assert pauses == []


def test_what_must_not_happen_twice_is_not_repeated(bond, kit):
    """A call that isn't repeatable is repeated only after a 429, which surely did nothing."""
    outcome, pauses = ask(bond, kit.a_problem(503), repeatable=False)
    assert (type(outcome), pauses) == (ServerError, [])

    outcome, pauses = ask(bond, kit.a_problem(429), repeatable=False)
    assert (outcome["msgs_in"], len(pauses)) == (245, 1)


@pytest.mark.parametrize(("repeatable", "attempts"), [(True, 3), (False, 1)])
def test_a_request_that_may_have_arrived_is_repeated_only_if_harmless(repeatable, attempts):
    """A connection that breaks off after the request leaves open what the server did."""
    heard = []

    async def break_off(reader, writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async def no_sleep(seconds):
        pass

    async def run():
        async with await asyncio.start_server(break_off, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            transport = Transport(api_url=url, sleep=no_sleep)
            with pytest.raises(APIConnectionError) as caught:
                await transport.request("POST", "/x", repeatable=repeatable)
            return caught.value

    assert asyncio.run(run()).may_have_arrived
    assert len(heard) == attempts


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("0", 0.0), ("120", 120.0), ("soon", None), ("-3", None), ("", None)],
)
def test_retry_after_is_read(header, seconds):
    """Seconds count; what can't be read wasn't said."""
    assert retry_after_s(header) == seconds


def test_retry_after_may_be_a_date():
    """A date in the past asks for no pause, one to come for the time until then."""
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    in_an_hour = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)

    assert 3590 < retry_after_s(f"{in_an_hour:%a, %d %b %Y %H:%M:%S} GMT") <= 3600
