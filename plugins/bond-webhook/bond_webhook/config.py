"""The settings of the sink `webhook`."""

from __future__ import annotations

import attrs

from bond_core.plugin import Secret, setting
from bond_webhook.signing import key_of


@attrs.frozen(kw_only=True)
class WebhookConfig:
    """Where messages go, and what they are signed with."""

    url: Secret | str = setting(
        doc="The endpoint, https; a secret where the URL itself is one",
        example="https://hooks.example.com/bond",
    )
    secret: Secret = setting(
        doc="What signs messages: whsec_ and the base64 of 24 to 64 bytes",
        check=key_of,
        example={"$env": "HOOK_SECRET"},
    )
    previous_secrets: tuple[Secret, ...] = setting(
        default=(),
        doc="Signed before; messages carry their signatures too while you rotate",
        check=lambda secrets: [key_of(secret) for secret in secrets],
    )
    timeout_s: float = setting(
        default=15.0, ge=1.0, le=60.0, doc="How long an answer may take, in seconds"
    )
    give_up_after_s: float = setting(
        default=432_000.0, ge=60.0, doc="Seconds without one success after which it is given up"
    )
