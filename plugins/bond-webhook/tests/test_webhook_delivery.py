"""Messages against a real endpoint that answers, refuses, is slow, redirects, or is gone."""

from __future__ import annotations

import asyncio
import json
import logging
import time

import pytest
from standardwebhooks import Webhook as Oracle

from bond_core.clock import ManualClock
from bond_core.errors import Fatal, Retryable
from bond_core.plugin import Secret
from bond_webhook.config import WebhookConfig
from bond_webhook.sink import ATTEMPTS_KEPT, Webhook

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
OLD = "whsec_" + "QUJD" * 8
STREAM = "8f2a1c9d4b3e7a10"


def records(*ids):
    """Return records of these ids."""
    return [{"id": id_, "ts": "2025-10-21T13:30:05Z", "price_avg": 1.5} for id_ in ids]


def http_date(in_s):
    """Return a moment as HTTP writes it."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + in_s))


def a_webhook(url, **changes):
    """Return the sink for an endpoint."""
    return Webhook(WebhookConfig(url=url, secret=Secret(SECRET), **changes))


@pytest.fixture
def write(context):
    """Return what writes batches, and returns what each raised, or None."""
    return lambda sink, *batches, ctx=None: written(sink, batches, ctx or context())


def written(sink, batches, context):
    """Write batches, and return what each raised, or None."""

    async def go():
        raised = []
        await sink.open(context)
        for batch in batches:
            try:
                await sink.write(batch, context)
                raised.append(None)
            except (Retryable, Fatal) as error:
                raised.append(error)
        await sink.close()
        return raised

    return asyncio.run(go())


def test_a_batch_is_one_genuine_message(endpoint, write):
    """The library of Standard Webhooks verifies it, and finds the records in it."""
    batch = records("1000-0", "2000-0")

    assert write(a_webhook(endpoint.url), batch) == [None]

    (got,) = endpoint.got
    assert Oracle(SECRET).verify(got.body.decode(), got.headers) == {
        "type": "stream.records",
        "timestamp": "2025-10-21T13:30:05Z",
        "data": {"stream_id": STREAM, "records": batch},
    }
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == f"msg_{STREAM}_1000-0_2000-0"
    assert got.path == "/hooks?for=bond"


def test_while_secrets_rotate_both_sign(endpoint, write):
    """A receiver that has only the old secret still verifies the message."""
    write(a_webhook(endpoint.url, previous_secrets=(Secret(OLD),)), records("1-0"))

    (got,) = endpoint.got
    for secret in (SECRET, OLD):
        assert Oracle(secret).verify(got.body.decode(), got.headers)


@pytest.mark.parametrize(
    ("status", "headers", "error", "pause_s"),
    [
        (200, {}, None, None), (202, {}, None, None), (204, {}, None, None),
        (301, {"location": "/elsewhere"}, Fatal, None), (304, {}, Fatal, None),
        (308, {"location": "http://169.254.169.254/"}, Fatal, None),
        (400, {}, Fatal, None), (401, {}, Fatal, None), (404, {}, Fatal, None),
        (410, {}, Fatal, None), (413, {}, Fatal, None), (422, {}, Fatal, None),
        (408, {}, Retryable, None), (425, {}, Retryable, None),
        (429, {"retry-after": "7"}, Retryable, 7.0),
        (429, {"retry-after": 90}, Retryable, 90.0),
        (500, {}, Retryable, None), (502, {}, Retryable, None),
        (503, {"retry-after": "120"}, Retryable, 120.0), (504, {}, Retryable, None),
    ],
)  # fmt: skip
def test_an_answer_says_what_to_do_next(endpoint, status, headers, error, pause_s, write):
    """Taken, to be repeated after the pause that is asked for, or never to be tried again."""
    said = {name: http_date(in_s=v) if isinstance(v, int) else v for name, v in headers.items()}
    endpoint.answers.append((status, said, b""))

    (raised,) = write(a_webhook(endpoint.url), records("1-0"))

    assert type(raised) is (type(None) if error is None else error)
    assert len(endpoint.got) == 1
    if error is not None:
        assert str(status) in raised.detail
    if error is Retryable:
        asked_s = raised.retry_after_s
        assert asked_s == pause_s or asked_s == pytest.approx(pause_s, abs=3)


def test_a_redirect_leads_nowhere(endpoint, write):
    """Where it would lead gets no request."""
    endpoint.answers.append((307, {"location": endpoint.url + "&there"}, b""))

    (raised,) = write(a_webhook(endpoint.url), records("1-0"))

    assert "redirects are not followed" in raised.detail
    assert [got.path for got in endpoint.got] == ["/hooks?for=bond"]


@pytest.mark.parametrize("how", ["slow", "cut", "nobody"])
def test_no_answer_is_tried_again(endpoint, how, write):
    """Too slow, cut off and not there: nobody knows whether it arrived."""
    url = endpoint.url
    if how == "slow":
        endpoint.delay_s = 30.0
    elif how == "cut":
        endpoint.cuts = True
    else:
        url = "http://127.0.0.1:9/hooks"

    (raised,) = write(a_webhook(url, timeout_s=1.0), records("1-0"))

    assert isinstance(raised, Retryable)
    assert raised.detail == "127.0.0.1 can't be reached"


def test_a_repeated_message_keeps_its_id(endpoint, context):
    """Id and body stay; the time of the attempt, and so the signature, are new."""
    endpoint.answers += [(500, {}, b""), (503, {}, b"")]
    clock, batch = ManualClock(), records("1-0", "2-0")
    ctx, sink = context(clock=clock), a_webhook(endpoint.url)

    async def go():
        for _ in range(2):
            with pytest.raises(Retryable):
                await sink.write(batch, ctx)
            await clock.advance(60.0)
        await sink.write(batch, ctx)

    asyncio.run(go())

    first, second, third = (got.headers for got in endpoint.got)
    assert first["webhook-id"] == second["webhook-id"] == third["webhook-id"]
    assert len({got.body for got in endpoint.got}) == 1
    assert int(third["webhook-timestamp"]) == int(first["webhook-timestamp"]) + 120
    assert len({first["webhook-signature"], third["webhook-signature"]}) == 2


def test_other_records_are_another_message(endpoint, write):
    """Two batches never share an id, and a gap record counts."""
    gap = {"id": "1-0~3-0", "stream_id": STREAM, "gap": {"after": "1-0", "until": "3-0"}}
    write(a_webhook(endpoint.url), records("1-0"), [gap, *records("3-0")], records("3-0"))

    ids = [got.headers["webhook-id"] for got in endpoint.got]
    assert len(set(ids)) == 3
    assert not any("." in id_ for id_ in ids)


def test_an_endpoint_that_fails_for_days_is_given_up(endpoint, context):
    """From the first failure in a row on; a success begins anew."""
    endpoint.answers += [(500, {}, b""), (200, {}, b""), (500, {}, b""), (500, {}, b"")]
    clock, batch = ManualClock(), records("1-0")
    ctx, sink = context(clock=clock), a_webhook(endpoint.url, give_up_after_s=3600.0)

    async def go():
        with pytest.raises(Retryable):
            await sink.write(batch, ctx)
        await clock.advance(7200.0)
        await sink.write(batch, ctx)
        with pytest.raises(Retryable):
            await sink.write(batch, ctx)
        await clock.advance(3600.0)
        with pytest.raises(Fatal, match="given up"):
            await sink.write(batch, ctx)

    asyncio.run(go())


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}/x", "https://127.0.0.1:{port}/x", "https://[::1]/x",
     "https://169.254.169.254/latest", "https://10.0.0.1/", "file:///etc/passwd", "https://a b"],
)  # fmt: skip
def test_a_url_that_leads_inside_is_refused(endpoint, url, write, context):
    """Where private networks are not open, nothing is sent to them."""
    port = endpoint.url.partition("127.0.0.1:")[2].partition("/")[0]

    (raised,) = write(a_webhook(url.format(port=port)), records("1-0"), ctx=context(private=False))

    assert isinstance(raised, Fatal)
    assert raised.code == "forbidden_url"
    assert not endpoint.got


def test_a_name_that_leads_inside_is_not_reached(endpoint, write, context):
    """A public-looking name is looked up, and its address is checked before anything is sent."""

    async def resolve(host):
        return ["127.0.0.1"]

    port = endpoint.url.partition("127.0.0.1:")[2].partition("/")[0]
    ctx = context(private=False, resolve=resolve)
    for url in ("https://hooks.example.com/x", f"http://hooks.example.com:{port}/x"):
        (raised,) = write(a_webhook(url), records("1-0"), ctx=ctx)
        assert isinstance(raised, (Retryable, Fatal))
    assert not endpoint.got


def test_attempts_are_kept_and_bounded(endpoint, write):
    """Each attempt says when, what came of it and how long it took; old ones go."""
    endpoint.answers += [(500, {}, b"x" * 5000)]
    sink = a_webhook(endpoint.url)
    batches = [records(f"{n}-0") for n in range(ATTEMPTS_KEPT + 5)]
    write(sink, batches[0])

    (attempt,) = sink.report()["attempts"]
    assert attempt["status"] == 500
    assert attempt["id"] == f"msg_{STREAM}_0-0_0-0"
    assert attempt["answer"] == "x" * 200
    assert attempt["took_ms"] >= 0
    write(sink, *batches)
    assert len(sink._attempts) == ATTEMPTS_KEPT
    newest = sink.report()["attempts"][-1]
    assert newest["id"].endswith(f"_{ATTEMPTS_KEPT + 4}-0")
    assert json.dumps(sink.report())


def test_no_secret_shows(endpoint, caplog, write):
    """Neither the log, nor an error, nor the list of attempts has the secret or a secret URL."""
    caplog.set_level(logging.DEBUG)
    endpoint.answers += [(404, {}, b""), (500, {}, b"")]
    sink = a_webhook(Secret(endpoint.url))
    raised = write(sink, records("1-0"), records("2-0"))

    said = f"{raised}{sink.report()}{caplog.text}{sink._config}"
    assert SECRET not in said
    assert "for=bond" not in said


def test_a_test_message_says_how_it_went(endpoint, context):
    """It is signed like any other, and its outcome is told, also where it is refused."""
    endpoint.answers += [(204, {}, b""), (401, {}, b"who are you?")]
    sink = a_webhook(endpoint.url)

    first, second = (asyncio.run(sink.test(context())) for _ in range(2))

    assert (first["status"], second["status"], second["answer"]) == (204, 401, "who are you?")
    got = endpoint.got[0]
    assert Oracle(SECRET).verify(got.body.decode(), got.headers)["type"] == "webhook.test"
