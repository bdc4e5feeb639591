"""What is signed, and how: as the library of Standard Webhooks itself does it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from bond_core.plugin import Secret
from bond_core.settings import SettingsError, structure
from bond_webhook.config import WebhookConfig
from bond_webhook.signing import signed_headers

VECTOR = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
_secrets = st.binary(min_size=24, max_size=64).map(
    lambda key: "whsec_" + base64.b64encode(key).decode()
)


def test_a_known_message_has_its_known_signature():
    """The signature is, to the letter, that of a message signed elsewhere."""
    body = (
        b'{"type":"alert.fired","timestamp":"2025-10-21T13:30:05Z",'
        b'"data":{"stream_id":"8f2a1c9d4b3e7a10","value":70012.5}}'
    )

    headers = signed_headers([Secret(VECTOR)], "msg_8f2a1c9d4b3e7a10_0001", 1_761_053_405, body)

    assert headers == {
        "webhook-id": "msg_8f2a1c9d4b3e7a10_0001",
        "webhook-timestamp": "1761053405",
        "webhook-signature": "v1,fLqCFFZbmktZzl3OvQdhrtTmgxvujBKei4dv3nqWJI4=",
    }


@given(_secrets, st.from_regex(r"msg_[0-9a-z_~-]{1,40}", fullmatch=True), st.text(max_size=40))
def test_any_message_is_signed_as_the_library_signs_it(secret, message_id, text):
    """For every secret, id and body both give one signature."""
    body = json.dumps({"text": text})
    at = datetime.fromtimestamp(1_761_053_405, UTC)

    ours = signed_headers([Secret(secret)], message_id, 1_761_053_405, body.encode())

    assert ours["webhook-signature"] == Webhook(secret).sign(message_id, at, body)


@given(_secrets, _secrets)
def test_while_rotating_either_secret_verifies(new, old):
    """A message signed with two secrets is genuine to a receiver that has one of them."""
    now_s = int(datetime.now(UTC).timestamp())
    headers = signed_headers([Secret(new), Secret(old)], "msg_1", now_s, b"{}")

    for secret in (new, old):
        assert Webhook(secret).verify("{}", headers) == {}
    with pytest.raises(WebhookVerificationError):
        Webhook(VECTOR).verify("{}", headers)


@pytest.mark.parametrize(
    "secret", ["hunter2hunter2", "whsec_", "whsec_AAEC", "whsec_" + "A" * 88, "whsec_Ä", "v1a_x"]
)
@pytest.mark.parametrize("where", ["secret", "previous_secrets"])
def test_a_secret_that_signs_nothing_is_refused(secret, where, monkeypatch):
    """It is too short, too long or no base64; the refusal says how one is made, and not which."""
    monkeypatch.setenv("GOOD", VECTOR)
    monkeypatch.setenv("BAD", secret)
    config = {"url": "https://a.example", "secret": {"$env": "GOOD"}}
    config[where] = {"$env": "BAD"} if where == "secret" else [{"$env": "BAD"}]

    with pytest.raises(SettingsError) as caught:
        structure(WebhookConfig, config)

    assert "bond webhook secret" in caught.value.detail
    if len(secret) > 6:
        assert secret not in f"{caught.value}{caught.value.problems}"
