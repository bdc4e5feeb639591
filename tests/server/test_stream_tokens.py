from __future__ import annotations

import asyncio
import hashlib
import hmac

import pytest

from bond_core.clock import NS, ManualClock
from bond_core.settings import Secret
from bond_server.auth.tokens import TokenError, Tokens

SECRET, OLD = "s" * 40, "o" * 40
STREAM, OTHER = "8f2a1c9d4b3e7a10", "0f2a1c9d4b3e7a10"
NOW_S = 1_761_053_405


def some_tokens(secret=SECRET, **others):
    """Return tokens at a time that stands still."""
    return Tokens(Secret(secret), ManualClock(NOW_S * NS), **others)


def signed(stream_id, expiry, secret=SECRET):
    """What the seed's documentation does, in its own words."""
    message = f"{stream_id}.{expiry}".encode()
    return f"{expiry}.{hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()[:16]}"


def refusal(tokens, stream_id, text):
    """Return the code with which a token is refused."""
    with pytest.raises(TokenError) as refused:
        tokens.verify(stream_id, text)
    return refused.value.code


def test_a_token_is_what_the_documentation_says():
    """
    It is the expiry, a dot, and 16 hex digits of the HMAC over stream and expiry.
    """
    token = some_tokens(ttl_s=3600).issue(STREAM)

    assert token.text == signed(STREAM, NOW_S + 3600)
    assert token.expires_in_s == 3600


def test_a_token_opens_its_stream_and_no_other():
    """
    What one stream's token opens is that stream.
    """
    tokens = some_tokens()
    token = tokens.issue(STREAM).text

    tokens.verify(STREAM, token)
    assert refusal(tokens, OTHER, token) == "token_invalid"


def test_the_three_part_form_must_name_the_stream():
    """
    The older form with the stream in front is accepted where it is that stream.
    """
    tokens = some_tokens()
    token = tokens.issue(STREAM).text

    tokens.verify(STREAM, f"{STREAM}.{token}")
    assert refusal(tokens, STREAM, f"{OTHER}.{token}") == "token_invalid"


def test_a_token_lasts_until_its_expiry_and_the_leeway():
    """
    Clocks may disagree by 30 s; after that a good token has expired, and a forged one never was.
    """
    clock = ManualClock(NOW_S * NS)
    tokens = Tokens(Secret(SECRET), clock, ttl_s=60)
    token = tokens.issue(STREAM).text
    expiry, signature = token.split(".")
    forged = f"{expiry}.{'0' * 16 if signature != '0' * 16 else '1' * 16}"

    asyncio.run(clock.advance(90))
    assert tokens.verify(STREAM, token).end_s == NOW_S + 90
    asyncio.run(clock.advance(1))
    assert refusal(tokens, STREAM, token) == "token_expired"
    assert refusal(tokens, STREAM, forged) == "token_invalid"


def test_the_previous_secret_still_verifies():
    """
    After a change of secrets old tokens count, and new ones are signed with the new secret.
    """
    before, after = some_tokens(OLD), some_tokens(SECRET, previous=Secret(OLD))

    after.verify(STREAM, before.issue(STREAM).text)
    assert refusal(before, STREAM, after.issue(STREAM).text) == "token_invalid"


@pytest.mark.parametrize(
    "text",
    [
        None, "", ".", "..", "null", "1761053465", "1761053465.", ".f1189e3ca7ce6df8",
        "1761053465.F1189E3CA7CE6DF8", "1761053465.f1189e3ca7ce6df", "1e9.f1189e3ca7ce6df8",
        " 1761053465.f1189e3ca7ce6df8", "1761053465.f1189e3ca7ce6df8\n",
        "1_761_053_465.f1189e3ca7ce6df8", "-761053465.f1189e3ca7ce6df8",
        "١٧٦١٠٥٣٤٦٥.f1189e3ca7ce6df8", "1761053465.\uff461189e3ca7ce6df8",
        "9999999999999.f1189e3ca7ce6df8", "1761053465.f1189e3ca7ce6df8\0", "\0" * 40, "é" * 27,
        "x" * 1_000_000, "8f2a1c9d4b3e7a10.1761053465", "a.b.c.d",
    ],
    ids=lambda text: ascii(text)[:40],
)  # fmt: skip
def test_what_is_no_token_is_refused(text):
    """
    Nothing but the exact form is looked at further, and nothing else than a refusal comes of it.
    """
    assert refusal(some_tokens(), STREAM, text) == "token_invalid"


@pytest.mark.parametrize("stream_id", ["", "8f2a", "8F2A1C9D4B3E7A10", "8f2a1c9d4b3e7a1é", "a.1"])
def test_a_token_for_no_stream_id_is_refused(stream_id):
    """
    A signature over something that is no stream's id opens nothing.
    """
    assert refusal(some_tokens(), stream_id, signed(stream_id, NOW_S + 60)) == "token_invalid"


def test_a_refusal_says_how_to_get_a_token_and_never_the_token():
    """
    The error's text names the call that gives a fresh one, and not what was presented.
    """
    token = signed(OTHER, NOW_S + 60)
    with pytest.raises(TokenError) as refused:
        some_tokens().verify(STREAM, token)

    assert refused.value.fix == f"POST /v1/streams/{STREAM}/token"
    assert token not in str(refused.value)
