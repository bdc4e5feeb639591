"""Sign messages as Standard Webhooks 1.0.0 says (github.com/standard-webhooks/standard-webhooks).

signed text          {webhook-id}.{webhook-timestamp}.{body}
webhook-signature    v1,{base64 of its HMAC-SHA256}, several of them with spaces between
secret               whsec_{base64 of 24 to 64 random bytes}
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

from bond_core.plugin import Secret

PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64


def key_of(secret: Secret) -> bytes:
    """Return the bytes that a secret stands for.

    Raises:
        ValueError: It is no such secret; the text doesn't show it.
    """
    try:
        key = base64.b64decode(secret.reveal().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(
            f"must be {PREFIX} and the base64 of {_SHORTEST} to {_LONGEST} bytes: "
            "`bond webhook secret` makes one"
        )
    return key


def signed_headers(
    secrets: Iterable[Secret], message_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """Return the headers of one attempt to deliver a message.

    Args:
        secrets: The current one first, then those before it.
        message_id: The same at each attempt; without a dot in it.
        timestamp_s: When the attempt is made, in Unix seconds.
        body: What is sent, as it is sent.
    """
    text = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    signatures = (hmac.digest(key_of(secret), text, hashlib.sha256) for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(
            f"v1,{base64.b64encode(signature).decode()}" for signature in signatures
        ),
    }
