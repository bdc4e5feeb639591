"""The conformance kit: messages through the kit's own way out."""

from __future__ import annotations

import json

from bond_core.testing import SinkConformance

SIGNED_BY = {"$env": "HOOK_SECRET"}


class TestWebhook(SinkConformance):
    """One endpoint."""

    spec = "webhook"
    env = {"HOOK_SECRET": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", "HOOK_SHORT": "whsec_AAEC"}
    bad_configs = {
        "no URL": {"secret": SIGNED_BY},
        "unsigned": {"url": "https://hooks.example.com/bond"},
        "a secret in clear": {"url": "https://hooks.example.com/bond", "secret": "whsec_AAEC"},
        "a secret that signs nothing": {
            "url": "https://hooks.example.com/bond", "secret": {"$env": "HOOK_SHORT"},
        },
        "one before it that signed nothing": {
            "url": "https://hooks.example.com/bond", "secret": SIGNED_BY,
            "previous_secrets": [{"$env": "HOOK_SHORT"}],
        },
        "no time to answer": {
            "url": "https://hooks.example.com/bond", "secret": SIGNED_BY, "timeout_s": 0,
        },
    }  # fmt: skip

    def make_config(self, tmp_path):
        """Name an endpoint that nobody has."""
        return {"url": "https://hooks.example.com/bond", "secret": SIGNED_BY}

    def read_back(self, tmp_path):
        """Take the records out of the messages."""
        bodies = [json.loads(body) for _, body in self.outlet.sent]
        return [record for body in bodies for record in body["data"]["records"]]
